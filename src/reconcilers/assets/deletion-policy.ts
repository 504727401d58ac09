import { objectLabels } from '../../api/labels.ts'
import { deletePolicy } from '../shared/placement-record.ts'
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
  const deletes = deletesDisks(seen, record)
  if (record.deletes === deletes || plan.actions.some(writesRecord)) return plan
  const { [objectLabels.deletionPolicy]: _before, ...others } = record.config.labels
  const labels = deletes ? { ...others, [objectLabels.deletionPolicy]: deletePolicy } : others
  return { ...plan, actions: [{ kind: 'updateRecordLabels', config: record.config, labels, corrects: [] }, ...plan.actions] }
}

/** The next run follows at once and then writes the policy. */
function writesRecord({ kind }: AssetsAction): boolean {
  return kind === 'updateRecordLabels' || kind === 'createRecord'
}
