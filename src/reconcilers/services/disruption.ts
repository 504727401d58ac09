import { type ConditionDraft, condition } from '../../api/conditions.ts'
import type { LeaseSeen } from '../shared/disruption-lease.ts'
import type { ServicesAction, ServicesPlan } from './actions.ts'
import { replicasOf } from './decide.ts'
import type { ServicesSeen } from './observe.ts'

/** A holder that answers, or does not, is seen soon. */
const lookAgainMs = 1_000

type Disruption =
  | 'none'
  /** A guest that is off: of two controllers that want it on and off the one without the lease must not start it. */
  | 'starts'
  | 'stops'

/** What carrying the plan out does to a guest. */
export function disruptionOf({ owned }: Pick<ServicesSeen, 'owned'>, { actions }: Pick<ServicesPlan, 'actions'>): Disruption {
  const from = owned.kind === 'ours' ? replicasOf(owned.service) : 0
  const each = actions.map((action) => effectOf(action, from))
  return each.find((one) => one === 'stops') ?? each.find((one) => one === 'starts') ?? 'none'
}

function effectOf(action: ServicesAction, from: number): Disruption {
  if (action.kind === 'removeService') return from > 0 ? 'stops' : 'none'
  if (action.kind !== 'createService' && action.kind !== 'updateService') return 'none'
  const to = replicasOf(action)
  if (from === 0) return to > 0 ? 'starts' : 'none'
  return to === 0 || (action.kind === 'updateService' && action.touches === 'template') ? 'stops' : 'none'
}

/** Nothing that stops a guest is carried out before this controller holds the lease, and nothing that starts one while another controller does. */
export function underLease(seen: ServicesSeen, plan: ServicesPlan): ServicesPlan {
  const { lease } = seen
  if (lease === undefined || lease.kind === 'ours') return plan
  const disruption = disruptionOf(seen, plan)
  if (disruption === 'none' || (disruption === 'starts' && lease.kind === 'free')) return plan
  return {
    ...plan,
    actions: stepsTo(lease),
    conditions: standingBy(lease, plan.conditions),
    next: { kind: 'requeueAfter', ms: lookAgainMs },
  }
}

function stepsTo(lease: Exclude<LeaseSeen, { kind: 'ours' }>): readonly ServicesAction[] {
  if (lease.kind === 'free') return [{ kind: 'takeLease', config: lease.config }]
  return lease.ask ? [{ kind: 'askHolder', config: lease.config }] : []
}

/** What was planned has not happened. */
function standingBy(lease: Exclude<LeaseSeen, { kind: 'ours' }>, planned: readonly ConditionDraft[]): readonly ConditionDraft[] {
  const who = lease.kind === 'free' ? 'nobody yet' : lease.holder
  const message = `the VM is to be started, stopped or restarted, and the lease for that is held by ${who}; are two controllers at work, with different manifests? docker config inspect ${lease.config?.name ?? 'sv-lease-CLUSTER'}`
  const others = planned.filter((one) => one.type !== 'ServiceReady')
  return [...others, condition('ServiceReady', 'False', 'StandingBy', message)]
}
