import { objectLabels } from '../../api/labels.ts'
import { placementRecordName, type NodeId, type VmUid } from '../../api/names.ts'
import type { GrownDisk } from '../../api/wire/agent-api.ts'
import type { DeleteDisksOrder } from '../../api/wire/delete-disks.ts'
import type { MarkedOrder } from '../../api/wire/unchanged.ts'
import type { DriftKind } from '../../api/drift-kinds.ts'
import type { Labels, SwarmConfig } from '../../ports/swarm.ts'
import type { Plan } from '../reconciler.ts'
import { type PlacementRecord, placementData, placementLabels } from '../shared/placement-record.ts'
import { carries, vmObjectLabels } from '../shared/vm-objects.ts'
import { deletesDisks } from './deletes-disks.ts'
import type { LeaseAction } from '../shared/disruption-lease.ts'
import type { AssumedPlacement } from '../shared/assumed-placements.ts'
import type { AssetsSeen } from './observe.ts'

export type AssetsAction =
  | {
      readonly kind: 'createRecord'
      readonly name: string
      readonly labels: Labels
      readonly data: Uint8Array
      readonly corrects: readonly DriftKind[]
      /** Set for a new placement, not for a VM that is adopted. */
      readonly claim?: AssumedPlacement
    }
  | {
      readonly kind: 'updateRecordLabels'
      readonly config: SwarmConfig
      readonly labels: Labels
      readonly corrects: readonly DriftKind[]
      /** Ends the VM: its disks are then retained or deleted. */
      readonly endsVm?: true
    }
  | { readonly kind: 'prepare'; readonly nodeId: NodeId; readonly order: MarkedOrder }
  | { readonly kind: 'revokeGrant'; readonly nodeId: NodeId; readonly uid: VmUid }
  | { readonly kind: 'deleteDisks'; readonly nodeId: NodeId; readonly order: DeleteDisksOrder }
  | LeaseAction
  | { readonly kind: 'removeRecord'; readonly id: string; readonly name: string }

export type AssetsPlan = Plan<AssetsAction>

/** Gives the record of a declared VM all its labels, and drops the retained mark. */
export function keepRecord(
  seen: AssetsSeen,
  record: PlacementRecord,
  to: {
    readonly node: NodeId
    readonly disksMade: boolean
    readonly disks?: readonly string[] | undefined
    readonly grown?: readonly GrownDisk[] | undefined
    readonly prepared?: string | undefined
    readonly run?: RunLabels | undefined
    readonly source: string
    readonly fallback?: readonly string[]
  },
): AssetsAction[] {
  const { fallback, settings, sshPort, vm } = seen
  const labels = placementLabels({ cluster: settings.cluster, vm, uid: record.uid, deletes: deletesDisks(seen), fallback, sshPort, ...to })
  const { [objectLabels.retainedAt]: retained, [objectLabels.deletionPolicy]: policy, ...others } = record.config.labels
  // The VM is not suspended any longer.
  const { [objectLabels.suspended]: noted, [objectLabels.prepared]: prepared, [objectLabels.fallback]: fallen, ...known } = others
  const kept = withRunLabels(known, to.run)
  const isSame =
    policy === labels[objectLabels.deletionPolicy] && prepared === labels[objectLabels.prepared] && fallen === labels[objectLabels.fallback]
  const isRun = carries(known, kept) && carries(kept, known)
  if (retained === undefined && noted === undefined && isSame && isRun && carries(record.config.labels, labels)) return []
  const corrects: readonly DriftKind[] = lostLabels(seen, record) ? ['placement_record'] : []
  return [{ kind: 'updateRecordLabels', config: record.config, labels: { ...kept, ...labels }, corrects }]
}

/** The node's answer about the run; undefined removes a label. Without an answer the record keeps its labels. */
export interface RunLabels {
  readonly runPolicy: string | undefined
  readonly finished: string | undefined
}

function withRunLabels(known: Labels, run: RunLabels | undefined): Labels {
  if (run === undefined) return known
  const { [objectLabels.runPolicy]: _policy, [objectLabels.finished]: _finished, ...others } = known
  return {
    ...others,
    ...(run.runPolicy === undefined ? {} : { [objectLabels.runPolicy]: run.runPolicy }),
    ...(run.finished === undefined ? {} : { [objectLabels.finished]: run.finished }),
  }
}

/** Labels that a record has from the beginning are missing; the others only note progress. */
function lostLabels({ settings, vm }: AssetsSeen, { config, uid, disksMade }: PlacementRecord): boolean {
  const { labels } = config
  const identity = carries(labels, vmObjectLabels('placement', { cluster: settings.cluster, vm, uid }))
  return !identity || labels[objectLabels.node] === undefined || (disksMade && labels[objectLabels.disksMade] !== 'true')
}

/** Writes a VM's identity and node: the first ones, or restored ones (`corrects`). */
export function writeRecord(
  seen: AssetsSeen,
  to: {
    readonly uid: VmUid
    readonly node: NodeId
    readonly disksMade: boolean
    readonly source: string
    readonly fallback?: readonly string[]
  },
  corrects: readonly DriftKind[],
  claim?: AssumedPlacement,
): AssetsAction[] {
  if (seen.record !== undefined) return keepRecord(seen, seen.record, to)
  const fields = { cluster: seen.settings.cluster, vm: seen.vm, deletes: deletesDisks(seen), ...to }
  const labels = placementLabels(fields)
  return [
    {
      kind: 'createRecord',
      name: placementRecordName(seen.vm),
      labels,
      data: placementData(fields),
      corrects,
      ...(claim === undefined ? {} : { claim }),
    },
  ]
}
