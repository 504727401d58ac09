import type { ConditionType, Stamp } from '../../api/conditions.ts'
import type { VmName } from '../../api/names.ts'
import type { Clock } from '../../ports/clock.ts'
import type { StatusSince, Times } from './transition-times-config.ts'

/** What an earlier controller knew counts this long: until then what is Unknown says more of this controller's start than of the VM. */
const rememberedMs = 300_000

export interface RememberedTimes {
  set(times: Times): void
  /** Since when a condition of this VM has had the status that it gets now. Once only: what changes afterwards begins with this controller. */
  of(vm: VmName): NonNullable<Stamp['since']>
  /** What is known now, and of the rest what was known before: whoever is stopped soon after its start forgets nothing. */
  with(now: Times): Times
  forget(vm: VmName): void
}

export function rememberedTimes(clock: Clock): RememberedTimes {
  let past = new Map<VmName, Map<string, StatusSince>>()
  let untilMs = 0

  function ofVm(vm: VmName): Map<string, StatusSince> | undefined {
    if (clock.elapsed() > untilMs) past.clear()
    return past.get(vm)
  }

  return {
    set(times) {
      past = new Map([...times].map(([vm, types]) => [vm, new Map(types)]))
      untilMs = clock.elapsed() + rememberedMs
    },
    of: (vm) => (type: ConditionType, status) => {
      const known = ofVm(vm)
      const found = known?.get(type)
      // Not looked at yet, or nobody answers yet: it may turn out to be as it was.
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
