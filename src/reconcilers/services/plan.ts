import { type ConditionDraft, condition } from '../../api/conditions.ts'
import { managedBy, objectLabels } from '../../api/labels.ts'
import { serviceName } from '../../api/names.ts'
import type { SwarmService } from '../../ports/swarm.ts'
import type { Next } from '../reconciler.ts'
import type { RunPolicy } from '../../api/wire/run-policy.ts'
import { isPolicyKept, runLabels, runNotes, runWish } from '../shared/run-wish.ts'
import { isServiceOf, replicasOf } from '../shared/vm-service.ts'
import type { ServicesPlan } from './actions.ts'
import { suspensionOf } from '../shared/suspension.ts'
import { withChangedFields } from './changed-fields.ts'
import { nameOwned, serviceReady } from './conditions.ts'
import type { Present, Target } from './context.ts'
import { planCreate } from './create.ts'
import { underLease } from './disruption.ts'
import { allObjects } from './objects.ts'
import type { ServicesSeen } from './observe.ts'
import { planSuspended } from './suspended.ts'
import { planUpdate } from './update.ts'

const settled: Next = { kind: 'settled' }

export function planServices(seen: ServicesSeen, nowMs: number): ServicesPlan {
  const resumed = planResumed(seen, nowMs)
  const suspension = suspensionOf(seen.vm, seen.declaration, seen.record)
  return suspension === undefined ? underLease(seen, resumed) : planSuspended(seen, resumed, suspension, nowMs)
}

/** The plan without suspension and lease. */
export function planResumed(seen: ServicesSeen, nowMs: number): ServicesPlan {
  const { declaration } = seen
  switch (declaration.kind) {
    case 'unknown':
      return { actions: [], conditions: [], next: settled }
    case 'removed':
      return planRemoved(seen)
    case 'present':
      return planPresent(seen, declaration, nowMs)
  }
}

function planPresent(seen: ServicesSeen, declaration: Present, nowMs: number): ServicesPlan {
  const { owned, record } = seen
  const notes = runNotes(record?.config.labels, owned.kind === 'ours' ? owned.service : undefined)
  const wish = runWish(declaration.vm, notes)
  const kept = isPolicyKept(wish, record?.config.labels)
  const replicas = wish.kind === 'off' ? 0 : kept ? 1 : runsAlready(owned)
  const planned = planFor(seen, declaration, { replicas, runLabels: runLabels(wish, notes) }, nowMs)
  return wish.kind === 'on' && !kept && replicas === 0 ? waitingForPolicy(planned, seen, wish.policy) : planned
}

/** A VM that runs keeps running while its node has not confirmed a new policy. */
function runsAlready(owned: ServicesSeen['owned']): 0 | 1 {
  return owned.kind === 'ours' && replicasOf(owned.service) > 0 ? 1 : 0
}

function waitingForPolicy(plan: ServicesPlan, { node }: ServicesSeen, { strategy }: RunPolicy): ServicesPlan {
  const message = `the agent on ${node?.hostname ?? 'the node'} has not confirmed runStrategy: ${strategy} yet; an agent of release 0.1 cannot, so update swarmvirt on the node`
  const conditions = plan.conditions.map((one) =>
    one.type === 'ServiceReady' ? condition('ServiceReady', 'False', 'WaitingForRunPolicy', message) : one,
  )
  return { ...plan, conditions }
}

function planFor(seen: ServicesSeen, declaration: Present, run: Pick<Target, 'replicas' | 'runLabels'>, nowMs: number): ServicesPlan {
  const { replicas } = run
  const { owned, record, vm } = seen
  switch (owned.kind) {
    case 'absent':
      return planCreate(seen, declaration, run)
    case 'foreign':
      return alone('NameTaken', `a service named ${serviceName(vm)} exists and does not belong to swarmvirt: rename it or the VM`, [
        condition('ServiceReady', 'False', 'NameTaken', 'the VM has no service'),
      ])
    case 'lost':
      return alone('OwnershipLost', lostMessage(seen, owned.service), [readyAlone(seen, replicas, 'OwnershipLost', nowMs)])
    case 'ours': {
      // Its disks are being deleted, so the service goes too, also if another controller created it.
      if (record?.deletingAt !== undefined) return planRemoved(seen)
      if (record === undefined || record.retainedAt !== undefined) return waitForRecord(seen, replicas, nowMs)
      if (!isServiceOf(record, owned))
        return alone('ForeignUid', foreignMessage(owned.service, owned.uid, record.uid), [readyAlone(seen, replicas, 'ForeignUid', nowMs)])
      const target = { service: owned.service, uid: record.uid, node: record.node, ...run } as const
      return withChangedFields(owned.service, planUpdate(seen, declaration, target, nowMs))
    }
  }
}

/** Reports the problem and does not touch the service. */
function alone(reason: string, message: string, others: readonly ConditionDraft[]): ServicesPlan {
  const restart = condition('RestartRequired', 'Unknown', reason, 'swarmvirt does not touch the service')
  return {
    actions: [],
    conditions: [condition('Owned', 'False', reason, message), ...others, restart],
    next: { kind: 'stalled', reason, message },
  }
}

/** A service that is not touched is never being stopped, even if the manifest says Halted. */
function readyAlone(seen: ServicesSeen, replicas: 0 | 1, reason: string, nowMs: number): ConditionDraft {
  const ready = serviceReady(seen, replicas, nowMs)
  if (ready.reason !== 'Stopping') return ready
  return condition(
    'ServiceReady',
    'False',
    reason,
    'the manifest says Halted, but swarmvirt does not touch the service and it still has a task',
  )
}

function lostMessage({ record }: ServicesSeen, { name, labels }: SwarmService): string {
  const isMarked = labels[objectLabels.managedBy] === managedBy
  const label = isMarked ? objectLabels.uid : objectLabels.managedBy
  const value = isMarked ? (record?.uid ?? 'UID') : managedBy
  return `${name} does not have the label ${label}, so swarmvirt does not touch it; to restore the label: docker service update --label-add ${label}=${value} ${name}`
}

function foreignMessage({ name }: SwarmService, uid: string, recorded: string | undefined): string {
  if (recorded === undefined)
    return `${name} has uid ${uid}, but neither a placement record nor its template has it: remove the service if you do not need it`
  return `${name} has uid ${uid}, but the placement record has ${recorded}: remove the wrong one`
}

/** Reports the service of a removed VM that is not touched and may still run. */
function runsOn(reason: string, message: string): ServicesPlan {
  return alone(reason, message, [condition('ServiceReady', 'False', reason, `the manifest was removed, but the service stays: ${message}`)])
}

/** The record was removed manually: wait until the assets reconciler restores it with the same uid. */
function waitForRecord(seen: ServicesSeen, replicas: 0 | 1, nowMs: number): ServicesPlan {
  return { actions: [], conditions: [nameOwned(seen.vm), serviceReady(seen, replicas, nowMs)], next: { kind: 'requeueAfter', ms: 500 } }
}

/** Removes the service first, then its configs and secrets. Objects that may belong to something else stay. */
function planRemoved(seen: ServicesSeen): ServicesPlan {
  const { owned, record } = seen
  switch (owned.kind) {
    case 'absent':
      return { actions: allObjects(seen), conditions: [], next: settled }
    case 'foreign':
      return { actions: [], conditions: [], next: settled }
    case 'lost':
      return runsOn('OwnershipLost', lostMessage(seen, owned.service))
    case 'ours': {
      const { service, uid } = owned
      if (!isServiceOf(record, owned)) return runsOn('ForeignUid', foreignMessage(service, uid, record?.uid))
      const removing = condition('ServiceReady', 'False', 'Removing', 'the manifest was removed; the guest is being powered off')
      return {
        actions: [{ kind: 'removeService', id: service.id, name: service.name }],
        conditions: [removing],
        next: { kind: 'requeueAfter', ms: 500 },
      }
    }
  }
}
