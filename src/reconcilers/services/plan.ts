import { type ConditionDraft, condition } from '../../api/conditions.ts'
import { managedBy, objectLabels } from '../../api/labels.ts'
import { serviceName } from '../../api/names.ts'
import type { SwarmService } from '../../ports/swarm.ts'
import type { Next } from '../reconciler.ts'
import { isServiceOf } from '../shared/vm-service.ts'
import type { ServicesPlan } from './actions.ts'
import { suspensionOf } from '../shared/suspension.ts'
import { withChangedFields } from './changed-fields.ts'
import { planCreate } from './create.ts'
import { underLease } from './disruption.ts'
import { allObjects } from './objects.ts'
import type { ServicesSeen } from './observe.ts'
import { serviceReady } from './ready.ts'
import { planSuspended } from './suspended.ts'
import { planUpdate } from './update.ts'

const settled: Next = { kind: 'settled' }

export function planServices(seen: ServicesSeen, nowMs: number): ServicesPlan {
  const resumed = planResumed(seen, nowMs)
  const suspension = suspensionOf(seen.vm, seen.declaration, seen.record)
  return suspension === undefined ? underLease(seen, resumed) : planSuspended(seen, resumed, suspension, nowMs)
}

/** What is to be done, whatever says that it must wait. */
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

function planPresent(
  seen: ServicesSeen,
  declaration: Extract<ServicesSeen['declaration'], { kind: 'present' }>,
  nowMs: number,
): ServicesPlan {
  const { owned, record, vm } = seen
  const replicas = declaration.vm.spec.runStrategy === 'Always' ? 1 : 0
  switch (owned.kind) {
    case 'absent':
      return planCreate(seen, declaration)
    case 'foreign':
      return alone('NameTaken', `a service called ${serviceName(vm)} exists and is not swarmvirt's: rename it or the VM`, [
        condition('ServiceReady', 'False', 'NameTaken', 'the VM has no service of its own'),
      ])
    case 'lost':
      return alone('OwnershipLost', lostMessage(seen, owned.service), [readyAlone(seen, replicas, 'OwnershipLost', nowMs)])
    case 'ours': {
      // What it ran on is being deleted, whoever made it meanwhile.
      if (record?.deletingAt !== undefined) return planRemoved(seen)
      if (record === undefined || record.retainedAt !== undefined) return waitForRecord(seen, replicas, nowMs)
      const { uid } = owned
      if (!isServiceOf(record, owned))
        return alone('ForeignUid', foreignMessage(owned.service, uid, record.uid), [readyAlone(seen, replicas, 'ForeignUid', nowMs)])
      const target = { service: owned.service, uid, node: record.node, replicas } as const
      return withChangedFields(owned.service, planUpdate(seen, declaration, target, nowMs))
    }
  }
}

/** Reported, and nothing at all is done to the service. */
function alone(reason: string, message: string, others: readonly ConditionDraft[]): ServicesPlan {
  const restart = condition('RestartRequired', 'Unknown', reason, 'the service is left alone')
  return {
    actions: [],
    conditions: [condition('Owned', 'False', reason, message), ...others, restart],
    next: { kind: 'stalled', reason, message },
  }
}

/** A service that is left alone is not being stopped, whatever the manifest says. */
function readyAlone(seen: ServicesSeen, replicas: 0 | 1, reason: string, nowMs: number): ConditionDraft {
  const ready = serviceReady(seen, replicas, nowMs)
  if (ready.reason !== 'Stopping') return ready
  return condition(
    'ServiceReady',
    'False',
    reason,
    'the manifest says Halted, but the service is left alone and a task of it is still there',
  )
}

function lostMessage({ record }: ServicesSeen, { name, labels }: SwarmService): string {
  const isMarked = labels[objectLabels.managedBy] === managedBy
  const label = isMarked ? objectLabels.uid : objectLabels.managedBy
  const value = isMarked ? (record?.uid ?? 'UID') : managedBy
  return `${name} does not carry the label ${label} (any more), so it is left alone; to give it back: docker service update --label-add ${label}=${value} ${name}`
}

function foreignMessage({ name }: SwarmService, uid: string, recorded: string | undefined): string {
  if (recorded === undefined)
    return `${name} has uid ${uid}, and neither a placement record nor its own template says so: remove it if it is not needed`
  return `${name} has uid ${uid}, and the placement record says ${recorded}: remove the one that is wrong`
}

/** Of a removed VM: its service is left alone, and somebody has to know. */
function runsOn(reason: string, message: string): ServicesPlan {
  return alone(reason, message, [condition('ServiceReady', 'False', reason, `the manifest was removed, and the service stays: ${message}`)])
}

/** The record was removed by hand: it comes back with the same uid before anything else is done. */
function waitForRecord(seen: ServicesSeen, replicas: 0 | 1, nowMs: number): ServicesPlan {
  const owned = condition('Owned', 'True', 'Owned', `${serviceName(seen.vm)} carries ${objectLabels.managedBy}=${managedBy}`)
  return { actions: [], conditions: [owned, serviceReady(seen, replicas, nowMs)], next: { kind: 'requeueAfter', ms: 500 } }
}

/** The service first; its configs and secrets when it is gone. What is not certainly this VM's stays. */
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
