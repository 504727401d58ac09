import { objectLabels } from '../../api/labels.ts'
import { placementRecordName, type VmUid } from '../../api/names.ts'
import type { Labels, SwarmConfig } from '../../ports/swarm.ts'
import type { Plan } from '../reconciler.ts'
import { carries, type PlacementRecord, placementData, placementLabels } from '../shared/placement-record.ts'
import type { AssetsSeen } from './observe.ts'

export type AssetsAction =
  | { readonly kind: 'createRecord'; readonly name: string; readonly labels: Labels; readonly data: Uint8Array }
  | { readonly kind: 'updateRecordLabels'; readonly config: SwarmConfig; readonly labels: Labels }
  | { readonly kind: 'revokeGrant'; readonly nodeId: string; readonly uid: VmUid }

export type AssetsPlan = Plan<AssetsAction>

/** The record of a declared VM: all labels it should have, and not retained. */
export function keepRecord(
  seen: AssetsSeen,
  record: PlacementRecord,
  to: { readonly node: string; readonly disksMade: boolean },
): AssetsAction[] {
  const labels = placementLabels({ cluster: seen.settings.cluster, vm: seen.vm, uid: record.uid, ...to })
  const { [objectLabels.retainedAt]: retained, ...kept } = record.config.labels
  if (retained === undefined && carries(kept, labels)) return []
  return [{ kind: 'updateRecordLabels', config: record.config, labels: { ...kept, ...labels } }]
}

/** First identity and node of a VM, or both again after they were lost. */
export function writeRecord(
  seen: AssetsSeen,
  to: { readonly uid: VmUid; readonly node: string; readonly disksMade: boolean },
): AssetsAction[] {
  if (seen.record !== undefined) return keepRecord(seen, seen.record, to)
  const fields = { cluster: seen.settings.cluster, vm: seen.vm, ...to }
  return [{ kind: 'createRecord', name: placementRecordName(seen.vm), labels: placementLabels(fields), data: placementData(fields) }]
}
