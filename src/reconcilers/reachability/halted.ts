import type { ConditionDraft } from '../../api/conditions.ts'
import { serviceName } from '../../api/names.ts'
import { whyAway } from '../shared/away.ts'
import { isLive } from '../shared/vm-service.ts'
import type { ReachabilitySeen } from './observe.ts'
import { allConditions } from './checks.ts'

/** The conditions of a VM that is off as wanted. The guest is off once its node has no task, runner, lease or open TAP of it. */
export function judgeHalted(seen: ReachabilitySeen): ConditionDraft[] {
  const { status, node, uid, wish } = seen
  const { reason: offReason, message: why } = wish?.kind === 'off' ? wish : halted
  // The VM was never placed, or its node has left the Swarm.
  if (uid === undefined || node === undefined || status === undefined) return allConditions('False', offReason, why)
  if (!status.known) {
    const { reason, message } = whyAway(node, status.message)
    return allConditions('Unknown', reason, `cannot tell whether the guest is off: ${message}`)
  }
  const left = whatIsLeft(seen)
  if (left !== undefined) return stillOn(seen, `${left} on ${node.hostname}`)
  const away = status.value?.brokerMessage ?? ''
  if (away !== '') return allConditions('Unknown', 'BrokerUnreachable', `cannot tell whether the guest is off: ${away}`)
  const off = `the guest is off on ${node.hostname}`
  return allConditions('False', offReason, offReason === 'Halted' ? `${off}, as the manifest says` : `${off}: ${why}`)
}

const halted = { reason: 'Halted', message: 'the manifest says runStrategy: Halted' } as const

function stillOn({ vm, isLeftAlone, suspended, task }: ReachabilitySeen, left: string): ConditionDraft[] {
  const why = (cause: string): string => `the manifest says Halted, but the guest is on: ${left}, and ${cause}`
  if (isLeftAlone) return allConditions('False', 'OwnershipLost', why(`swarmvirt leaves the service ${serviceName(vm)} alone; see Owned`))
  const isWanted = task?.desiredState === 'running' || task?.desiredState === 'ready'
  if (isWanted && suspended !== undefined) return allConditions('False', 'Suspended', why(`the VM is ${suspended}`))
  return allConditions('False', 'Stopping', `shutting down: ${left}`)
}

function whatIsLeft({ status, task }: ReachabilitySeen): string | undefined {
  const vm = status?.known === true ? status.value : undefined
  if (vm?.lease?.held === true) return 'its runner holds the lease'
  if (vm !== undefined && vm.runner !== null) return `its runner is in phase ${vm.runner.phase}`
  if (vm?.lease != null && vm.lease.waiting > 0) return 'a runner is waiting for the lease'
  const tap = vm?.lease?.nics.find((one) => one.attached)
  if (tap !== undefined) return `a process has ${tap.tap} open`
  return task !== undefined && isLive(task) ? `its task is ${task.state}` : undefined
}
