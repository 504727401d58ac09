import { type ConditionDraft, condition } from '../../api/conditions.ts'
import { type LeaseSeen, leaseRequeueAfterMs, standingByText, stepsTo } from '../shared/disruption-lease.ts'
import type { AssetsAction, AssetsPlan } from './actions.ts'
import type { AssetsSeen } from './observe.ts'

/** The failures of an order without permission to replace a disk, if a disk would be replaced. */
const replaceable: ReadonlySet<string> = new Set(['ImageChangeRefused', 'DiskResizeUnsupported', 'DiskRenameRefused'])

/** The plan would lose disks or end the VM. */
export function needsLease(seen: AssetsSeen, { actions }: Pick<AssetsPlan, 'actions'>): boolean {
  return actions.some(endsVm) || isToReplace(seen)
}

function endsVm(action: AssetsAction): boolean {
  return action.kind === 'deleteDisks' || (action.kind === 'updateRecordLabels' && action.endsVm === true)
}

function isToReplace({ replaceBlocked, prepared }: AssetsSeen): boolean {
  return replaceBlocked && prepared?.known === true && prepared.value.state === 'failed' && replaceable.has(prepared.value.reason)
}

/** Deletes or replaces disks and ends a VM only under the lease: another controller's manifest may still want them. */
export function underLease(seen: AssetsSeen, plan: AssetsPlan): AssetsPlan {
  const { lease } = seen
  if (lease === undefined || lease.kind === 'ours' || !needsLease(seen, plan)) return plan
  const { cachedAnswers: _answers, ...rest } = plan
  return {
    ...rest,
    actions: stepsTo(lease),
    conditions: lease.kind === 'free' ? plan.conditions : standingBy(seen, lease, plan.conditions),
    next: { kind: 'requeueAfter', ms: leaseRequeueAfterMs },
  }
}

function standingBy(
  seen: AssetsSeen,
  lease: Extract<LeaseSeen, { kind: 'held' }>,
  planned: readonly ConditionDraft[],
): readonly ConditionDraft[] {
  const draft = isToReplace(seen)
    ? condition('AssetsReady', 'False', 'StandingBy', standingByText('a disk must be replaced', lease))
    : condition('Placed', 'False', 'StandingBy', standingByText('the VM was removed and its disks must be retained or deleted', lease))
  return [...planned.filter((one) => one.type !== draft.type), draft]
}
