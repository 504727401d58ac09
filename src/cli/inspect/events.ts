import type { VmEvent, VmView } from '../../api/wire/controller-api.ts'
import type { VmChange } from '../../ports/controller-api.ts'
import { done, type Outcome } from '../output/outcome.ts'
import { aligned, padded, widthsOf } from '../output/table.ts'
import type { LiveOutput } from './watch.ts'

const head = ['TIME', 'VM', 'CONDITION', 'STATUS', 'REASON', 'MESSAGE'] as const

/** Events of one or all VMs, oldest first. */
export function listEvents(vms: readonly VmView[]): string {
  return aligned([head, ...inOrder(vms.flatMap(eventsOf)).map(cells)])
}

/** Prints the list, then each new event. Ends when the output is closed. */
export async function followEvents(changes: AsyncIterable<VmChange>, name: string | undefined, output: LiveOutput): Promise<Outcome> {
  const told = new Map<string, ReadonlySet<string>>()
  const first: VmView[] = []
  let widths: readonly number[] | undefined

  function fresh(vm: VmView): readonly EventOfVm[] {
    const before = told.get(vm.name) ?? new Set()
    const all = eventsOf(vm)
    told.set(vm.name, new Set(all.map(keyOf)))
    return all.filter((one) => !before.has(keyOf(one)))
  }

  try {
    for await (const change of changes) {
      if (change.kind === 'vm' && (name === undefined || change.vm.name === name)) {
        const news = fresh(change.vm)
        if (widths === undefined) first.push(change.vm)
        else for (const one of news) output.write(padded(cells(one), widths))
      }
      if (change.kind !== 'synced') continue
      const lines = [head, ...inOrder(first.flatMap(eventsOf)).map(cells)]
      widths = widthsOf(lines)
      output.write(aligned(lines))
    }
  } catch (error) {
    if (!output.closed.aborted) throw error
  }
  return done('')
}

interface EventOfVm {
  readonly vm: string
  readonly event: VmEvent
}

function eventsOf(vm: VmView): readonly EventOfVm[] {
  return vm.events.map((event) => ({ vm: vm.name, event }))
}

function inOrder(all: readonly EventOfVm[]): readonly EventOfVm[] {
  return all.toSorted((a, b) => Date.parse(a.event.time) - Date.parse(b.event.time))
}

function keyOf({ event: { time, type, status, reason } }: EventOfVm): string {
  return `${time} ${type} ${status} ${reason}`
}

function cells({ vm, event }: EventOfVm): readonly string[] {
  const { time, type, status, reason } = event
  return [time, vm, type, status, reason, eventText(event)]
}

/** The first line of the message, and the event's count. */
export function eventText({ message, count, firstTime }: VmEvent): string {
  const line = message.split('\n')[0] ?? ''
  return count === undefined ? line : `${line} (${count} times since ${firstTime})`.trimStart()
}
