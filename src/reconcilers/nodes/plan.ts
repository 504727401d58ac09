import { nodeLabels } from '../../api/labels.ts'
import type { NodeId, VmUid } from '../../api/names.ts'
import type { NodeFacts } from '../../api/wire/agent-api.ts'
import type { Labels, SwarmNode, SwarmService } from '../../ports/swarm.ts'
import type { Next, Plan } from '../reconciler.ts'
import { isPinnedTo, isMet, labelConstraints } from '../shared/constraints.ts'
import { carries } from '../shared/vm-objects.ts'
import { dig, rawNumber } from '../shared/raw.ts'
import { isLive } from '../shared/vm-service.ts'
import type { NodesSeen } from './seen.ts'

export type NodesAction =
  | { readonly kind: 'updateNodeLabels'; readonly node: SwarmNode; readonly labels: Labels }
  /** Nothing refers to the VM any longer; its disks stay. */
  | { readonly kind: 'revokeGrant'; readonly nodeId: NodeId; readonly uid: VmUid }

/** A node's bridges and its broker change without an event. */
const requeueAfterMs = 10_000
/** The agent or broker is away, or the agent still probes KVM. */
const retryAfterMs = 2_000

export function planNode(seen: NodesSeen): Plan<NodesAction> {
  const { node } = seen
  if (node === undefined) return { actions: [], conditions: [], next: { kind: 'settled' } }
  const labels = wantedLabels(seen, node)
  const same = carries(node.labels, labels) && carries(labels, node.labels)
  const relabel: readonly NodesAction[] = same ? [] : [{ kind: 'updateNodeLabels', node, labels }]
  const revoke = seen.ownerless.map((uid): NodesAction => ({ kind: 'revokeGrant', nodeId: node.id, uid }))
  return { actions: [...relabel, ...revoke], conditions: [], next: whenNext(seen) }
}

function whenNext({ facts }: NodesSeen): Next {
  const unsure = !facts.known || facts.value.kvm.state === 'pending' || facts.value.broker === null
  return { kind: 'requeueAfter', ms: unsure ? retryAfterMs : requeueAfterMs }
}

/** Foreign labels unchanged, plus ours, plus the latched ones. */
function wantedLabels(seen: NodesSeen, node: SwarmNode): Labels {
  const foreign = Object.fromEntries(Object.entries(node.labels).filter(([key]) => !isOurs(key)))
  const wanted = { ...foreign, ...marker(seen, node), ...capability(seen, node), ...former(seen, node) }
  // A latch only matters if a label would be removed or changed.
  return carries(wanted, node.labels) ? wanted : { ...wanted, ...latched(seen, node) }
}

/** True if no existing label is removed or changed: then the tasks and services that depend on them do not matter. */
export function keepsLabels(seen: NodesSeen, node: SwarmNode): boolean {
  return carries(wantedLabels(seen, node), node.labels)
}

function isOurs(label: string): boolean {
  const { vmCapable, accel, holdsState, bridgePrefix, devicePrefix, formerVmPrefix } = nodeLabels
  if (label === vmCapable || label === accel || label === holdsState) return true
  return [bridgePrefix, devicePrefix, formerVmPrefix].some((prefix) => label.startsWith(prefix))
}

/** Once an agent has answered on a node, the node may hold disks. Only a user can say that it does not, by removing the label. */
function marker({ facts }: NodesSeen, node: SwarmNode): Labels {
  const held = node.labels[nodeLabels.holdsState]
  if (facts.known) return { [nodeLabels.holdsState]: 'true' }
  return held === undefined ? {} : { [nodeLabels.holdsState]: held }
}

function capability(seen: NodesSeen, node: SwarmNode): Labels {
  const { facts, softwareEmulation } = seen
  // An unreachable agent says nothing about the VMs: if any VM is placed here, the last known labels stay.
  if (!facts.known) return seen.records.some((one) => holds(one, node)) ? current(node, isCapability) : {}
  // The same goes for an unreachable broker: without the labels, Swarm would reject the task of a new service.
  if (facts.value.broker === null) return seen.records.some((one) => holds(one, node)) ? current(node, isCapability) : {}
  // The agent has restarted: the labels stay until its KVM probe ends.
  if (facts.value.kvm.state === 'pending') return { ...current(node, isAccelerator), ...bridges(facts.value) }
  const accel = acceleratorOf(facts.value, softwareEmulation)
  if (accel === undefined) return bridges(facts.value)
  return { [nodeLabels.vmCapable]: 'true', [nodeLabels.accel]: accel, ...bridges(facts.value) }
}

function acceleratorOf(facts: NodeFacts, softwareEmulation: boolean): 'kvm' | 'tcg' | undefined {
  if (facts.kvm.state === 'works') return 'kvm'
  return facts.tcg.works && softwareEmulation ? 'tcg' : undefined
}

function bridges(facts: NodeFacts): Labels {
  const up = (facts.broker?.bridges ?? []).filter((one) => one.up)
  const devices = (facts.broker?.direct ?? []).filter((one) => one.up && one.problem === '')
  return Object.fromEntries([
    ...up.map((one) => [nodeLabels.bridge(one.name), 'true']),
    ...devices.map((one) => [nodeLabels.device(one.name), 'true']),
  ])
}

/** Labels of earlier releases stay while a constraint of any service uses them. */
function former({ services }: NodesSeen, node: SwarmNode): Labels {
  const left = current(node, (key) => key.startsWith(nodeLabels.formerVmPrefix))
  if (Object.keys(left).length === 0) return {}
  const named = new Set(services.flatMap(labelConstraints).map(({ label }) => label))
  return Object.fromEntries(Object.entries(left).filter(([key]) => named.has(key)))
}

/**
 * Labels that a VM here depends on. Swarm rejects a running task as soon as a constraint stops matching, so they stay even if the node is
 * no longer capable. Values compare without case, as in Swarm.
 */
function latched(seen: NodesSeen, node: SwarmNode): Labels {
  const live = new Set(seen.tasks.filter((one) => isLive(one) || one.desiredState === 'running').map((one) => one.serviceId))
  const needs = seen.services.filter((one) => live.has(one.id) || isToRunOn(one, node)).flatMap(labelConstraints)
  const met = needs.filter((one) => isOurs(one.label) && isMet(one, node))
  return Object.fromEntries(met.map(({ label }) => [label, node.labels[label] ?? '']))
}

/**
 * The service must run, and only here. A manager that lags behind may not list its task, and trusting that list would let Swarm kill the
 * task: a write fails if the node's or the service's version is stale, but nothing detects a stale list of tasks.
 */
function isToRunOn(service: SwarmService, node: SwarmNode): boolean {
  return rawNumber(dig(service.spec, 'Mode', 'Replicated', 'Replicas')) !== undefined && isPinnedTo(service, node)
}

function holds(record: NodesSeen['records'][number], node: SwarmNode): boolean {
  return record.node === node.id && record.retainedAt === undefined && record.deletingAt === undefined
}

function isAccelerator(key: string): boolean {
  return key === nodeLabels.vmCapable || key === nodeLabels.accel
}

function isCapability(key: string): boolean {
  return isAccelerator(key) || key.startsWith(nodeLabels.bridgePrefix) || key.startsWith(nodeLabels.devicePrefix)
}

function current(node: SwarmNode, which: (key: string, value: string) => boolean): Labels {
  return Object.fromEntries(Object.entries(node.labels).filter(([key, value]) => which(key, value)))
}
