import { objectLabels } from '../../api/labels.ts'
import type { Edit } from '../../api/manifest/edits.ts'
import type { VmName } from '../../api/names.ts'
import type { PlannedStep } from '../../api/wire/plan.ts'
import type { MarkedOrder } from '../../api/wire/unchanged.ts'
import type { Agents } from '../../ports/agents.ts'
import type { Labels } from '../../ports/swarm.ts'
import { answerOf } from '../shared/answers.ts'
import { assumedPlacements } from '../shared/assumed-placements.ts'
import { suspensionOf } from '../shared/suspension.ts'
import type { AssetsAction } from './actions.ts'
import { diskEdits, isRecorded } from './disk-edits.ts'
import { type AssetsPorts, type AssetsSeen, observeAssets } from './observe.ts'
import type { AskProgress } from './order-answers.ts'
import { planResumed } from './plan.ts'

export interface AssetsDryRun {
  /** Why no changes are made; undefined if the VM is not suspended. */
  readonly suspended: string | undefined
  readonly steps: readonly PlannedStep[]
  /** Differences between the manifest's disks and the node's. */
  readonly edits: readonly Edit[]
  readonly unknown: readonly string[]
}

/** A dry run: the actions as if the VM were not suspended. A node gets no order, and does not go on with one. */
export async function dryRunAssets(ports: AssetsPorts, vm: VmName, nowMs: number, signal: AbortSignal): Promise<AssetsDryRun> {
  const lease = { ...ports.lease, observe: asIfHeld(ports.lease) }
  const dryRun = { ...ports, lease, assumed: assumedPlacements(), askProgress: lastProgress, suspensionOf: () => undefined }
  const seen = await observeAssets(dryRun, vm, signal)
  const suspended = suspensionOf(vm, seen.declaration, seen.record)?.message
  const plan = planResumed(seen, nowMs)
  const placed = plan.conditions.find((one) => one.type === 'Placed')?.message ?? ''
  const disks = await disksOnNode(ports.agents, seen, signal)
  return {
    suspended,
    steps: plan.actions.map((action) => stepOf(action, { placed, hostname: seen.node?.hostname ?? '' })),
    ...disks,
  }
}

/** A run takes a free lease before it allows a disk to be replaced. */
function asIfHeld(lease: AssetsPorts['lease']): AssetsPorts['lease']['observe'] {
  return async (signal) => {
    const seen = await lease.observe(signal)
    return seen.kind === 'free' ? { kind: 'ours' } : seen
  }
}

/** An agent of release 0.1 cannot say: the next run sends it the order again. */
const lastProgress: AskProgress = async (agent, { uid, mark }, signal) => {
  const progress = await answerOf(agent.progress({ uid, order: mark, dryRun: true }, signal))
  return progress.known ? { known: true, value: progress.value ?? { state: 'none' } } : progress
}

async function disksOnNode(
  agents: Agents,
  { declaration, record, node }: AssetsSeen,
  signal: AbortSignal,
): Promise<{ readonly edits: readonly Edit[]; readonly unknown: readonly string[] }> {
  if (declaration.kind !== 'present' || record === undefined || node === undefined) return { edits: [], unknown: [] }
  const instances = await answerOf(agents.on(node.id).instances(signal))
  if (!instances.known) return { edits: [], unknown: [`which disks ${node.hostname} has: its agent is not responding`] }
  const there = instances.value.find((one) => one.uid === record.uid)
  if (there === undefined) return { edits: [], unknown: [] }
  const isKnown = there.disks.some(isRecorded)
  const unknown = isKnown ? [] : [`from which image the disks on ${node.hostname} were made: its agent is of release 0.1`]
  return { edits: diskEdits(there.disks, declaration.vm.spec.disks), unknown }
}

function stepOf(action: AssetsAction, { placed, hostname }: { readonly placed: string; readonly hostname: string }): PlannedStep {
  const guest = 'untouched'
  const { kind } = action
  switch (kind) {
    case 'createRecord':
      return { verb: 'create', object: `config ${action.name}`, why: `the VM is placed ${placed}`, guest }
    case 'updateRecordLabels': {
      return { verb: 'change', object: `config ${action.config.name}`, why: whyRelabelled(action.labels), guest }
    }
    case 'prepare':
      return { verb: 'change', object: `order to ${hostname}`, why: whyOrdered(action.order), guest }
    case 'revokeGrant':
      return { verb: 'remove', object: `grant of ${action.uid}`, why: 'the VM is gone', guest }
    case 'deleteDisks':
      return {
        verb: 'remove',
        object: `disks of ${action.order.uid}`,
        why: 'the VM is gone, and its manifest said Delete: destroys-data',
        guest,
      }
    case 'removeRecord':
      return { verb: 'remove', object: `config ${action.name}`, why: 'the VM and its disks are gone', guest }
    case 'takeLease':
    case 'askHolder':
      return { verb: 'change', object: 'lease of the controllers', why: 'required to replace disks or to end a VM', guest }
    default:
      return kind satisfies never
  }
}

function whyOrdered({ replaceDisks }: MarkedOrder): string {
  return replaceDisks === undefined
    ? 'the node checks and prepares image, disks and networks'
    : 'the node may replace disks that differ from the manifest: destroys-data'
}

function whyRelabelled(labels: Labels): string {
  if (labels[objectLabels.retainedAt] !== undefined) return 'the VM is gone; its disks are kept'
  if (labels[objectLabels.deletingAt] !== undefined) return 'the VM is gone; its disks are about to be deleted: destroys-data'
  return 'the labels of the placement record'
}
