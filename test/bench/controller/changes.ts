import { setTimeout as pause } from 'node:timers/promises'
import { type Figures, median, quantile } from '../figures.ts'
import { editManifest, type Json, specOf, vmName } from './objects.ts'
import { type Bench, resyncMs, settledController } from './under-test.ts'

/** As in manifest-reader.ts: a hint is followed by a read after this time. */
const debounceMs = 200
const edits = 40
const removals = 20
const removalsWithoutEvents = 2

interface Times {
  readonly ours: readonly number[]
  /** The same write by hand, interleaved. */
  readonly byHand: readonly number[]
}

/** One manifest of many is edited, or one service is removed by hand: the time until Swarm reports the controller's write. */
export async function benchChanges(bench: Bench): Promise<Figures> {
  const child = await settledController(bench)
  const events = await serviceEvents(bench)
  const baseline = await baselineService(bench)
  const edited = await edit(bench, events, baseline)
  const restored = await remove(bench, events, baseline, removals)
  await child.ask({ kind: 'mute', muted: true })
  const resynced = await remove(bench, events, baseline, removalsWithoutEvents)
  events.stop()
  await child.stop()
  await bench.api.remove(`/services/${baseline.name}`)
  const [middle, worst, back] = [median(edited.ours), quantile(edited.ours, 0.99), quantile(restored.ours, 0.99)]
  const longest = Math.max(...resynced.ours)
  return {
    edit: {
      measured: `median ${ms(middle)}, p99 ${ms(worst)} beyond the debounce; by hand ${ms(median(edited.byHand))} (${edits} edits, ${bench.vms} VMs)`,
      isMet: middle <= 20 && worst <= 100,
    },
    removed: {
      measured: `p99 ${ms(back)} with events; by hand ${ms(median(restored.byHand))} (${removals} removals); ${(longest / 1000).toFixed(1)} s without, period ${resyncMs / 1000} s`,
      isMet: back <= 50 && longest <= resyncMs,
    },
  }
}

function ms(value: number): string {
  return `${value.toFixed(0)} ms`
}

interface Events {
  readonly next: (name: string, action: string) => Promise<number>
  readonly stop: () => void
}

async function serviceEvents({ api }: Bench): Promise<Events> {
  let wanted: { name: string; action: string; tell: (atMs: number) => void } | undefined
  const stop = await api.events(({ name, action, atMs }) => {
    if (wanted?.name === name && wanted.action === action) wanted.tell(atMs)
  })
  return { stop, next: (name, action) => new Promise((tell) => (wanted = { name, action, tell })) }
}

interface Baseline {
  readonly name: string
  readonly spec: Json
}

/** A service like that of a VM, which the controller does not own. An event of a service with another name requeues every VM. */
async function baselineService({ api }: Bench): Promise<Baseline> {
  const name = 'vm-baseline'
  const spec = { ...specOf(await api.find(`/services/vm-${vmName(0)}`)), Name: name, Labels: {} }
  await api.post('/services/create', spec)
  return { name, spec }
}

async function edit({ api, manifests }: Bench, events: Events, { name, spec }: Baseline): Promise<Times> {
  const [ours, byHand]: [number[], number[]] = [[], []]
  for (let index = 0; index < edits; index += 1) {
    const event = events.next(`vm-${vmName(index)}`, 'update')
    const sinceMs = performance.now()
    editManifest(manifests, index, 2)
    ours.push((await event) - sinceMs - debounceMs)
    await pause(50)
    const { Version } = (await api.find(`/services/${name}`)) as { Version: { Index: number } }
    byHand.push(
      await timeOf(events.next(name, 'update'), () =>
        api.post(`/services/${name}/update?version=${Version.Index}`, { ...spec, Labels: { edit: String(index) } }),
      ),
    )
  }
  return { ours, byHand }
}

async function remove({ api, vms }: Bench, events: Events, { name, spec }: Baseline, count: number): Promise<Times> {
  const [ours, byHand]: [number[], number[]] = [[], []]
  for (let index = 0; index < count; index += 1) {
    const service = `vm-${vmName(vms - 1 - index)}`
    const event = events.next(service, 'create')
    await api.remove(`/services/${service}`)
    const sinceMs = performance.now()
    ours.push((await event) - sinceMs)
    await pause(100)
    await api.remove(`/services/${name}`)
    byHand.push(await timeOf(events.next(name, 'create'), () => api.post('/services/create', spec)))
  }
  return { ours, byHand }
}

async function timeOf(event: Promise<number>, act: () => Promise<unknown>): Promise<number> {
  const sinceMs = performance.now()
  await act()
  return (await event) - sinceMs
}
