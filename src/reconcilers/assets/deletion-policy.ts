import { objectLabels } from '../../api/labels.ts'
import { confirmPolicy, deletePolicy, type PlacementRecord } from '../shared/placement-record.ts'
import type { AssetsAction, AssetsPlan } from './actions.ts'
import { deletesDisks } from './deletes-disks.ts'
import type { AssetsSeen } from './observe.ts'

/**
 * Adds the manifest's deletionPolicy to the record, even if the plan otherwise waits: once the manifest is gone, only the record has it.
 * A deletion that has begun is not cancelled.
 */
export function withDeletionPolicy(seen: AssetsSeen, plan: AssetsPlan): AssetsPlan {
  const { record } = seen
  if (record === undefined || record.deletingAt !== undefined || record.retainedAt !== undefined) return plan
  const policy = policyOf(seen, record)
  if (record.config.labels[objectLabels.deletionPolicy] === policy || plan.actions.some(writesRecord)) return plan
  const { [objectLabels.deletionPolicy]: _before, ...others } = record.config.labels
  const labels = policy === undefined ? others : { ...others, [objectLabels.deletionPolicy]: policy }
  return { ...plan, actions: [{ kind: 'updateRecordLabels', config: record.config, labels, corrects: [] }, ...plan.actions] }
}

/**
 * A controller that restarts learns from the record that a removal needs a confirmation. Only the manifest's return takes that back: another
 * controller may not have received the confirmation, and the two would write in turn.
 */
function policyOf(seen: AssetsSeen, record: PlacementRecord): string | undefined {
  if (!deletesDisks(seen, record)) return undefined
  const { declaration } = seen
  const mustConfirm =
    declaration.kind !== 'present' && (record.mustConfirm || (declaration.kind === 'unknown' && declaration.mustConfirm === true))
  return mustConfirm ? confirmPolicy : deletePolicy
}

/** The next run follows at once and then writes the policy. */
function writesRecord({ kind }: AssetsAction): boolean {
  return kind === 'updateRecordLabels' || kind === 'createRecord'
}
