import type { Condition, ConditionType, Stamp } from '../../api/conditions.ts'
import type { VmName } from '../../api/names.ts'
import type { Clock } from '../../ports/clock.ts'
import type { StatusSince, Times, TimesOfVm } from './transition-times-config.ts'

/** How long the previous controller's times count: right after the start, Unknown says more about this controller than about the VM. */
const validMs = 300_000

export interface TransitionTimes {
  set(times: Times): void
  /** Since when a condition has had its new status. Each time is used once: later transitions begin with this controller. */
  of(vm: VmName): NonNullable<Stamp['since']>
  /** Adds the remembered times that were not used yet, so that a controller that stops soon after its start loses nothing. */
  with(now: Times): Times
  forget(vm: VmName): void
}

export function transitionTimes(clock: Clock): TransitionTimes {
  let past = new Map<VmName, Map<string, StatusSince>>()
  let untilMs = 0

  function ofVm(vm: VmName): Map<string, StatusSince> | undefined {
    if (clock.elapsed() > untilMs) past.clear()
    return past.get(vm)
  }

  return {
    set(times) {
      past = new Map([...times].map(([vm, types]) => [vm, new Map(types)]))
      untilMs = clock.elapsed() + validMs
    },
    of: (vm) => (type: ConditionType, status) => {
      const known = ofVm(vm)
      const found = known?.get(type)
      // Not observed yet: the status may turn out to be unchanged.
      if (found === undefined || (status === 'Unknown' && found.status !== 'Unknown')) return undefined
      known?.delete(type)
      return found.status === status ? found.since : undefined
    },
    with(now) {
      const names = new Set([...past.keys(), ...now.keys()])
      return new Map([...names].map((vm) => [vm, new Map([...(now.get(vm) ?? []), ...(ofVm(vm) ?? [])])]))
    },
    forget: (vm) => void past.delete(vm),
  }
}

/** The times to remember. Leaves out Reconciling, which changes with every run. */
export function timesOf(conditions: readonly Condition[]): TimesOfVm {
  const lasting = conditions.filter(({ type }) => type !== 'Reconciling')
  return new Map(lasting.map(({ type, status, lastTransitionTime }) => [type, { status, since: lastTransitionTime }]))
}
