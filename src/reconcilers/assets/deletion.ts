import { type ConditionDraft, condition } from '../../api/conditions.ts'
import { objectLabels } from '../../api/labels.ts'
import { placementRecordName } from '../../api/names.ts'
import type { PlacementRecord } from '../shared/placement-record.ts'
import { isServiceOf, type Ownership, ownershipOf } from '../shared/vm-service.ts'
import type { AssetsPlan } from './actions.ts'
import { waitingConditions } from './conditions.ts'
import { deletesDisks } from './deletes-disks.ts'
import type { AssetsSeen } from './observe.ts'

const requeueAfterMs = 1_000

/**
 * Deletes the disks of a removed VM with deletionPolicy `Delete` in three steps: mark the record, let the node delete the disks, remove the
 * record. A mark is never taken back, because nobody could tell how far the deletion got. Another controller continues from the record.
 */
export function isToDelete(seen: AssetsSeen, record: PlacementRecord, owned: Ownership): boolean {
  if (record.deletingAt !== undefined) return true
  const isOver = owned.kind === 'absent' || owned.kind === 'foreign'
  // Without a member node there is no agent to delete the disks.
  return deletesDisks(seen, record) && record.retainedAt === undefined && seen.node !== undefined && isOver
}

export function planDeletion(seen: AssetsSeen, record: PlacementRecord, nowMs: number): AssetsPlan {
  const { node, settings, vm } = seen
  if (record.deletingAt === undefined) return begin(seen, record, nowMs)
  if (node === undefined) return unreachable(seen, record)
  const conditions = [deleting(seen, record, node.hostname), ...waitingConditions()]
  const facts = { uid: record.uid, node: node.hostname }
  // Another controller may have created a service. It must go first: without a record it would count as the VM's last trace.
  if (isServiceOf(record, ownershipOf(vm, seen.service)))
    return { actions: [], conditions, next: { kind: 'requeueAfter', ms: requeueAfterMs }, facts }
  const order = { version: 1, uid: record.uid, vm, cluster: settings.cluster } as const
  const { id, name } = record.config
  return {
    actions: [
      { kind: 'deleteDisks', nodeId: node.id, order },
      { kind: 'removeRecord', id, name },
    ],
    conditions,
    next: { kind: 'settled' },
    facts,
  }
}

function begin(seen: AssetsSeen, record: PlacementRecord, nowMs: number): AssetsPlan {
  const labels = { ...record.config.labels, [objectLabels.deletingAt]: new Date(nowMs).toISOString() }
  return {
    actions: [{ kind: 'updateRecordLabels', config: record.config, labels, corrects: [], endsVm: true }],
    conditions: [deleting(seen, record, seen.node?.hostname ?? 'its node'), ...waitingConditions()],
    next: { kind: 'requeueAfter', ms: requeueAfterMs },
  }
}

function deleting({ vm, declaration }: AssetsSeen, { uid }: PlacementRecord, where: string): ConditionDraft {
  const then = declaration.kind === 'present' ? '; then the VM is placed again, with new disks' : ''
  const message = `${vm} was removed with deletionPolicy: Delete; its disks (uid ${uid}) on ${where} are being deleted${then}`
  return condition('Placed', 'False', 'DeletingDisks', message)
}

function unreachable({ vm }: AssetsSeen, record: PlacementRecord): AssetsPlan {
  const name = placementRecordName(vm)
  const message = `cannot delete the disks of ${vm} (uid ${record.uid}): their node has left the Swarm; to forget them: docker config rm ${name}`
  return {
    actions: [],
    conditions: [condition('Placed', 'False', 'DeletingDisks', message), ...waitingConditions()],
    next: { kind: 'stalled', reason: 'DeletingDisks', message },
  }
}
