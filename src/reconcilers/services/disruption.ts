import { type ConditionDraft, condition } from '../../api/conditions.ts'
import { type LeaseSeen, leaseRequeueAfterMs, standingByText, stepsTo } from '../shared/disruption-lease.ts'
import type { ServicesAction, ServicesPlan } from './actions.ts'
import { replicasOf } from '../shared/vm-service.ts'
import type { ServicesSeen } from './observe.ts'

type Disruption =
  | 'none'
  /** A guest that is off. While two controllers disagree about it, the one without the lease must not start it. */
  | 'starts'
  /** Or its service is removed, which another controller may want to keep. */
  | 'stops'

/** The effect of the plan on the guest. */
export function disruptionOf({ owned }: Pick<ServicesSeen, 'owned'>, { actions }: Pick<ServicesPlan, 'actions'>): Disruption {
  const from = owned.kind === 'ours' ? replicasOf(owned.service) : 0
  const each = actions.map((action) => effectOf(action, from))
  return each.find((one) => one === 'stops') ?? each.find((one) => one === 'starts') ?? 'none'
}

function effectOf(action: ServicesAction, from: number): Disruption {
  // Its disks may be deleted next.
  if (action.kind === 'removeService') return 'stops'
  if (action.kind !== 'createService' && action.kind !== 'updateService') return 'none'
  const to = replicasOf(action)
  if (from === 0) return to > 0 ? 'starts' : 'none'
  return to === 0 || (action.kind === 'updateService' && action.touches === 'template') ? 'stops' : 'none'
}

/** Stops a guest only while this controller holds the lease, and starts none while another controller holds it. */
export function underLease(seen: ServicesSeen, plan: ServicesPlan): ServicesPlan {
  const { lease } = seen
  if (lease === undefined || lease.kind === 'ours') return plan
  const disruption = disruptionOf(seen, plan)
  if (disruption === 'none' || (disruption === 'starts' && lease.kind === 'free')) return plan
  return {
    ...plan,
    actions: stepsTo(lease),
    // A single controller gets the lease at once and continues.
    conditions: lease.kind === 'free' ? plan.conditions : standingBy(lease, plan.conditions),
    next: { kind: 'requeueAfter', ms: leaseRequeueAfterMs },
  }
}

/** Replaces the conditions that assume the plan was applied. */
function standingBy(lease: Extract<LeaseSeen, { kind: 'held' }>, planned: readonly ConditionDraft[]): readonly ConditionDraft[] {
  const message = standingByText('the VM must be started, stopped, restarted or removed', lease)
  const others = planned.flatMap((one) => {
    if (one.type === 'ServiceReady') return []
    return one.type === 'RestartRequired' ? condition(one.type, 'Unknown', 'StandingBy', message) : one
  })
  return [...others, condition('ServiceReady', 'False', 'StandingBy', message)]
}
