import { type ConditionDraft, condition } from '../../api/conditions.ts'
import type { LeaseSeen } from '../shared/disruption-lease.ts'
import { lookAgainForLeaseMs, standingByText, stepsTo } from '../shared/standing-by.ts'
import type { AssetsAction, AssetsPlan } from './actions.ts'
import type { AssetsSeen } from './observe.ts'

/** An order without the word that lets the node replace a disk ends with one of these where a disk would be replaced. */
const replaceable: ReadonlySet<string> = new Set(['ImageChangeRefused', 'DiskResizeUnsupported', 'DiskRenameRefused'])

/** Disks would be lost, or a VM would be given up. */
export function needsLease(seen: AssetsSeen, { actions }: Pick<AssetsPlan, 'actions'>): boolean {
  return actions.some(endsVm) || isToReplace(seen)
}

function endsVm(action: AssetsAction): boolean {
  return action.kind === 'deleteDisks' || (action.kind === 'updateRecordLabels' && action.endsVm === true)
}

function isToReplace({ replaceWithheld, prepared }: AssetsSeen): boolean {
  return replaceWithheld && prepared?.known === true && prepared.value.state === 'failed' && replaceable.has(prepared.value.reason)
}

/** No disk is deleted or replaced and no VM given up before this controller holds the lease: another one may have a manifest that wants them. */
export function underLease(seen: AssetsSeen, plan: AssetsPlan): AssetsPlan {
  const { lease } = seen
  if (lease === undefined || lease.kind === 'ours' || !needsLease(seen, plan)) return plan
  const { evidence: _evidence, ...rest } = plan
  return {
    ...rest,
    actions: stepsTo(lease),
    conditions: lease.kind === 'free' ? plan.conditions : standingBy(seen, lease, plan.conditions),
    next: { kind: 'requeueAfter', ms: lookAgainForLeaseMs },
  }
}

function standingBy(
  seen: AssetsSeen,
  lease: Extract<LeaseSeen, { kind: 'held' }>,
  planned: readonly ConditionDraft[],
): readonly ConditionDraft[] {
  const draft = isToReplace(seen)
    ? condition('AssetsReady', 'False', 'StandingBy', standingByText('a disk is to be replaced', lease))
    : condition('Placed', 'False', 'StandingBy', standingByText('the VM was removed and its disks are to be kept or deleted', lease))
  return [...planned.filter((one) => one.type !== draft.type), draft]
}
