import type { ConditionDraft } from '../../api/conditions.ts'
import { condition } from '../../api/conditions.ts'
import type { VirtualMachine } from '../../api/manifest.ts'
import { objectLabels } from '../../api/labels.ts'
import { type GrownDisk, otherInstanceReason, type PrepareStatus } from '../../api/wire/agent-api.ts'
import { prepareMark } from '../../api/wire/unchanged.ts'
import type { SwarmConfig, SwarmNode } from '../../ports/swarm.ts'
import type { Next } from '../reconciler.ts'
import type { Answer } from '../shared/answers.ts'
import { noteOfCheck } from '../shared/applied.ts'
import { renderedNames } from '../shared/rendered-networks.ts'
import { type PlacementRecord, readPlacementRecord } from '../shared/placement-record.ts'
import { suspensionOf } from '../shared/suspension.ts'
import { isServiceOf, ownershipOf, replicasOf } from '../shared/vm-service.ts'
import { finishedIn, finishedText, isOver, policyText } from '../../api/wire/run-policy.ts'
import { type AssetsAction, type AssetsPlan, keepRecord, type RunLabels } from './actions.ts'
import { checkIn, isUnchecked, preparedConditions, waitingConditions } from './conditions.ts'
import { diskElsewhere, toFollow, withLeftoverNote } from './disk-elsewhere.ts'
import { planFollow, planIdentity } from './identity.ts'
import { underLease } from './disruption.ts'
import { isToDelete, planDeletion } from './deletion.ts'
import { withDeletionPolicy } from './deletion-policy.ts'
import type { AssetsSeen } from './observe.ts'
import { placedOn, placementFacts, planSuspended } from './suspended.ts'
import type { NodeId } from '../../api/names.ts'

const settled: Next = { kind: 'settled' }

export function planAssets(seen: AssetsSeen, nowMs: number): AssetsPlan {
  const suspension = suspensionOf(seen.vm, seen.declaration, seen.record)
  return withDeletionPolicy(seen, suspension === undefined ? underLease(seen, planResumed(seen, nowMs)) : planSuspended(seen, suspension))
}

/** The plan without suspension and lease. */
export function planResumed(seen: AssetsSeen, nowMs: number): AssetsPlan {
  const { declaration } = seen
  switch (declaration.kind) {
    case 'unknown':
      return { actions: [], conditions: [], next: settled }
    case 'removed':
      return planRemoved(seen, nowMs)
    case 'present':
      return planPresent(seen, declaration, nowMs)
  }
}

function planPresent(seen: AssetsSeen, { vm, source }: Extract<AssetsSeen['declaration'], { kind: 'present' }>, nowMs: number): AssetsPlan {
  const { record, config, node, cluster } = seen
  if (config !== undefined && record === undefined) return notOurs(seen, config)
  if (record?.deletingAt !== undefined) return planDeletion(seen, record, nowMs)
  if (cluster !== undefined) return planIdentity(seen, cluster)
  if (record === undefined || node === undefined) return { actions: [], conditions: [], next: settled }
  if (seen.prepared === undefined) return planOrder(seen, record, { node: node.id, source })
  const followed = toFollow(seen.elsewhere, vm)
  if (followed !== undefined) return planFollow(seen, record, { node: followed, source })
  const other = otherInstance(seen, record)
  if (other !== undefined) return removeOrphan(record, other)
  const placed =
    seen.elsewhere.length === 0 ? withLeftoverNote(placedOn(node, record), node, vm) : diskElsewhere(seen.elsewhere, node, record, vm)
  const prepared = preparedConditions(seen, seen.prepared, node.hostname)
  const disksMade = record.disksMade || prepared.disksMade
  const disks = prepared.disksMade ? vm.spec.disks.map((one) => one.name) : undefined
  const grown = grownDisks(seen.prepared, record, vm)
  const run = runLabelsOf(seen, record)
  const actions = keepRecord(seen, record, { node: node.id, disksMade, disks, grown, prepared: preparedNote(seen, record), run, source })
  const facts = placementFacts(record, node)
  const plan: AssetsPlan = {
    actions,
    conditions: [placed, ...prepared.conditions, ...networkFallback(seen, node)],
    next: prepared.next,
    facts,
  }
  return actions.length === 0 ? { ...plan, ...cachedAnswersOf(seen, record, node.id) } : plan
}

/** Exists only while networks are rendered otherwise than the manifest says. */
function networkFallback({ manifest, fallback, settings }: AssetsSeen, { hostname }: SwarmNode): ConditionDraft[] {
  const names = manifest === undefined ? [] : renderedNames(manifest, settings, { fallback })
  if (names.length === 0) return []
  const said = names.join(', ')
  if (settings.networkMode === 'user') {
    const message = `${said} behind NAT, because the cluster setting SWARMVIRT_NETWORK_MODE is user; RestartRequired says whether it is applied`
    return [condition('NetworkFallback', 'True', 'UserModeForced', message)]
  }
  const bridges = manifest?.spec.networks.flatMap(({ name, bridge }) => (names.includes(name) ? (bridge ?? []) : [])).join(', ')
  const message = `${said} behind NAT, because ${hostname} has no bridge ${bridges} that is up; returns to the bridge at a restart once it has`
  return [condition('NetworkFallback', 'True', 'BridgeMissing', message)]
}

/** Undefined if the node says nothing new: the record of a VM whose disks never grew has no label for them. */
function grownDisks(prepared: Answer<PrepareStatus>, record: PlacementRecord, { spec }: VirtualMachine): readonly GrownDisk[] | undefined {
  if (!prepared.known || prepared.value.state !== 'ready') return undefined
  // An agent of release 0.1 never reports them. A disk that has its larger size in the manifest still has it on the node.
  return (
    prepared.value.grown ?? record.grown?.filter((one) => spec.disks.some(({ name, size }) => name === one.name && size === one.sizeBytes))
  )
}

/** The node's message if it has the VM under another uid. The record is then an orphan: nothing was created for it. */
function otherInstance({ prepared }: AssetsSeen, { disksMade }: PlacementRecord): string | undefined {
  if (disksMade || prepared?.known !== true || prepared.value.state !== 'failed') return undefined
  return prepared.value.reason === otherInstanceReason ? prepared.value.message : undefined
}

/** Without the orphaned record, the next run finds the VM that the node has. */
function removeOrphan({ config: { id, name } }: PlacementRecord, message: string): AssetsPlan {
  return {
    actions: [{ kind: 'removeRecord', id, name }],
    conditions: [condition('Placed', 'False', otherInstanceReason, message), ...waitingConditions()],
    next: { kind: 'requeueAfter', ms: 500 },
  }
}

/**
 * Sends the order, unless the record is still marked as retained. Leaves the conditions to the run that follows at once: an agent that
 * restarted must not change them.
 */
function planOrder(seen: AssetsSeen, record: PlacementRecord, to: { readonly node: NodeId; readonly source: string }): AssetsPlan {
  const { order } = seen
  const kept = keepRecord(seen, record, { ...to, disksMade: record.disksMade, prepared: preparedNote(seen, record) })
  const actions: AssetsAction[] = order === undefined ? kept : [...kept, { kind: 'prepare', nodeId: to.node, order }]
  return { actions, conditions: [], next: settled }
}

/**
 * Undefined until the node answers. A guest that finished stays so in the record although its runner is gone, until its runStrategy is Always
 * or it runs for another request.
 */
function runLabelsOf({ prepared, order, declaration }: AssetsSeen, { config: { labels } }: PlacementRecord): RunLabels | undefined {
  if (order === undefined || prepared?.known !== true || prepared.value.state !== 'ready') return undefined
  const { run, finished } = prepared.value
  const isHalted = declaration.kind === 'present' && declaration.vm.spec.runStrategy === 'Halted'
  const before = finishedIn(labels[objectLabels.finished])
  const isKept = order.run === undefined ? isHalted : isOver(order.run, before)
  const known = finished ?? (isKept ? before : undefined)
  return { runPolicy: run && policyText(run), finished: known && finishedText(known) }
}

/** Keeps the last note until the agent answers. */
function preparedNote({ order, prepared, service }: AssetsSeen, record: PlacementRecord): string | undefined {
  if (order?.pending === undefined) return undefined
  if (prepared?.known !== true) return record.prepared
  const isOff = service !== undefined && replicasOf(service) === 0
  // An old agent grants without checking, which is safe while the VM is off. It cannot tell whether the node has the network of user NICs.
  const isSafe = isOff && order.pending.networks === undefined && isUnchecked(order, prepared.value)
  const check = isSafe ? 'accepted' : checkIn(order, prepared.value)
  return noteOfCheck(order.pending, check)
}

/** A prepared VM stays ready until its agent reports otherwise: the agent repeats the order whenever it revalidates the answer. */
function cachedAnswersOf({ prepared, order }: AssetsSeen, { uid }: PlacementRecord, nodeId: NodeId): Pick<AssetsPlan, 'cachedAnswers'> {
  if (prepared?.known !== true || prepared.value.state !== 'ready' || order === undefined) return {}
  return { cachedAnswers: [{ nodeId, known: { kind: 'prepare', uid, order: order.mark, mark: prepareMark(prepared.value) } }] }
}

/** A config has the record's name but is not ours: it is not touched, and the VM gets no other identity. */
function notOurs({ vm, settings }: AssetsSeen, config: SwarmConfig): AssetsPlan {
  const lost = readPlacementRecord(config)?.vm === vm
  const reason = lost ? 'OwnershipLost' : 'NameTaken'
  const message = lost
    ? `the config ${config.name} no longer carries ${objectLabels.managedBy}: restore the label, or remove the config to give the VM (cluster ${settings.cluster}) a new identity`
    : `a config named ${config.name} exists and is not a placement record: rename it or the VM`
  return {
    actions: [],
    conditions: [condition('Placed', 'False', reason, message), ...waitingConditions()],
    next: { kind: 'stalled', reason, message },
  }
}

/** Once the service is gone, revokes the grant. Identity and disks are retained for a restored manifest, unless deletionPolicy was Delete. */
function planRemoved(seen: AssetsSeen, nowMs: number): AssetsPlan {
  const { record, vm, service } = seen
  if (record === undefined) return { actions: [], conditions: [], next: settled }
  const owned = ownershipOf(vm, service)
  if (owned.kind === 'lost') return { actions: [], conditions: [], next: settled }
  if (isServiceOf(record, owned)) {
    return { actions: [], conditions: [], next: { kind: 'requeueAfter', ms: 500 } }
  }
  if (isToDelete(seen, record, owned)) return planDeletion(seen, record, nowMs)
  return { actions: retain(seen, record, nowMs), conditions: [retainedCondition(seen, record)], next: settled }
}

function retain({ node }: AssetsSeen, record: PlacementRecord, nowMs: number): AssetsAction[] {
  if (record.retainedAt !== undefined) return []
  const labels = { ...record.config.labels, [objectLabels.retainedAt]: new Date(nowMs).toISOString() }
  const revoke: AssetsAction[] = node === undefined ? [] : [{ kind: 'revokeGrant', nodeId: node.id, uid: record.uid }]
  return [...revoke, { kind: 'updateRecordLabels', config: record.config, labels, corrects: [], endsVm: true }]
}

function retainedCondition({ node, vm }: AssetsSeen, record: PlacementRecord): ConditionDraft {
  const where = node === undefined ? 'a node that has left the Swarm' : node.hostname
  return condition(
    'Placed',
    'False',
    'Retained',
    `${vm} was removed; its disks (uid ${record.uid}) are retained on ${where}, and a manifest with this name uses them again`,
  )
}
