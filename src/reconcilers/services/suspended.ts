import { type ConditionDraft, condition } from '../../api/conditions.ts'
import { type Suspension, whileSuspended } from '../shared/suspension.ts'
import { replicasOf } from '../shared/vm-service.ts'
import type { ServicesPlan } from './actions.ts'
import type { ServicesSeen } from './observe.ts'
import { nameFree, serviceReady } from './conditions.ts'

/** Drops the actions, and the conditions that assume they were applied. */
export function planSuspended(seen: ServicesSeen, resumed: ServicesPlan, suspension: Suspension, nowMs: number): ServicesPlan {
  const { actions, conditions, facts } = resumed
  const ms = resumed.next.kind === 'requeueAfter' && actions.length === 0 ? resumed.next.ms : requeueAfterMs
  return {
    actions: [],
    conditions: actions.length === 0 ? conditions : seenOnly(seen, conditions, nowMs),
    next: whileSuspended(suspension, ms),
    ...(facts === undefined ? {} : { facts }),
  }
}

const requeueAfterMs = 5_000

function seenOnly(seen: ServicesSeen, conditions: readonly ConditionDraft[], nowMs: number): readonly ConditionDraft[] {
  const { owned, vm } = seen
  const differs = condition(
    'RestartRequired',
    'Unknown',
    'Suspended',
    `the VM differs from its manifest, and no changes are made; see: docker vm plan ${vm}`,
  )
  if (owned.kind === 'absent') {
    return [
      nameFree(),
      condition('ServiceReady', 'False', 'Suspended', 'the VM has no service, and none is created while it is suspended'),
      differs,
    ]
  }
  const replicas = replicasOf(owned.service) > 0 ? 1 : 0
  return [...conditions.filter((one) => one.type === 'Owned'), serviceReady(seen, replicas, nowMs), differs]
}
