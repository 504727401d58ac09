import { objectLabels } from '../../api/labels.ts'
import { deletePolicy } from '../shared/placement-record.ts'
import type { AssetsAction, AssetsPlan } from './actions.ts'
import { deletesDisks } from './deletes-disks.ts'
import type { AssetsSeen } from './observe.ts'

/**
 * The plan, and with it the manifest's last word on the disks. The record gets it whatever else the plan waits for: once the manifest is gone, only
 * the record can tell. A deletion that has begun is not called off.
 */
export function withLastWord(seen: AssetsSeen, plan: AssetsPlan): AssetsPlan {
  const { record } = seen
  if (record === undefined || record.deletingAt !== undefined || record.retainedAt !== undefined) return plan
  const deletes = deletesDisks(seen, record)
  if (record.deletes === deletes || plan.actions.some(writesRecord)) return plan
  const { [objectLabels.deletionPolicy]: _before, ...others } = record.config.labels
  const labels = deletes ? { ...others, [objectLabels.deletionPolicy]: deletePolicy } : others
  return { ...plan, actions: [{ kind: 'updateRecordLabels', config: record.config, labels, corrects: [] }, ...plan.actions] }
}

/** The next run follows at once, and writes what this one did not. */
function writesRecord({ kind }: AssetsAction): boolean {
  return kind === 'updateRecordLabels' || kind === 'createRecord'
}
