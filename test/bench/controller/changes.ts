import { type Bench, controllerWith, pause, resyncMs } from './bench.ts'
import { editManifest, vmName } from './objects.ts'
import { callsText, median, printAim, printNote, quantile } from './report.ts'
import type { UnderTest } from './under-test.ts'

/** As in manifest-reader.ts: a hint is followed by a read so much later. */
const debounceMs = 200
const edits = 40
const removals = 20

/** One VM of many is edited, and one service is removed by hand: until Swarm says that it was written. */
export async function benchChanges(bench: Bench): Promise<void> {
  const child = await controllerWith(bench, bench.vms)
  const heard = await serviceEvents(bench)
  await oneEdit(bench, child, heard)
  await removedByHand(bench, child, heard, removals, false)
  await removedByHand(bench, child, heard, 2, true)
  heard.stop()
  await child.stop()
}

interface Heard {
  readonly next: (name: string, action: string) => Promise<number>
  readonly stop: () => void
}

async function serviceEvents({ api }: Bench): Promise<Heard> {
  let wanted: { name: string; action: string; tell: (atMs: number) => void } | undefined
  const stop = await api.events(({ name, action, atMs }) => {
    if (wanted?.name === name && wanted.action === action) wanted.tell(atMs)
  })
  return { stop, next: (name, action) => new Promise((tell) => (wanted = { name, action, tell })) }
}

async function oneEdit(bench: Bench, child: UnderTest, heard: Heard): Promise<void> {
  const times: number[] = []
  const reads: Record<string, number>[] = []
  for (let index = 0; index < edits; index += 1) {
    await child.ask({ kind: 'reset' })
    const event = heard.next(`vm-${vmName(index)}`, 'update')
    const since = performance.now()
    editManifest(bench.manifests, index, 2)
    times.push((await event) - since - debounceMs)
    reads.push(await child.ask<Record<string, number>>({ kind: 'calls' }))
    await pause(50)
  }
  const lists = reads.map((calls) => (calls['listServices'] ?? 0) + (calls['listConfigs'] ?? 0))
  const [middle, worst] = [median(times), quantile(times, 0.99)]
  printAim({
    name: `one manifest written, ${bench.vms} present → service event`,
    figures: `median ${middle.toFixed(0)} ms, p99 ${worst.toFixed(0)} ms beyond the debounce, ${median(lists)} full lists (${edits} edits)`,
    aim: 'median ≤ 8 ms, p99 ≤ 25 ms, no full list',
    met: middle <= 8 && worst <= 25 && median(lists) === 0,
  })
  const updates = reads.map((calls) => calls['updateService'] ?? 0)
  const each = updates.reduce((sum, one) => sum + one, 0) / edits
  printAim({ name: 'service updates per change', figures: each.toFixed(2), aim: '1', met: each <= 1 })
  printNote(`calls of one edit: ${callsText(reads.at(-1) ?? {})}`)
}

async function removedByHand(bench: Bench, child: UnderTest, heard: Heard, count: number, muted: boolean): Promise<void> {
  await child.ask({ kind: 'mute', muted })
  const times: number[] = []
  for (let index = 0; index < count; index += 1) {
    const name = `vm-${vmName(bench.vms - 1 - index)}`
    const event = heard.next(name, 'create')
    await bench.api.remove(`/services/${name}`)
    const since = performance.now()
    times.push((await event) - since)
    await pause(100)
  }
  await child.ask({ kind: 'mute', muted: false })
  const worst = quantile(times, 0.99)
  const limit = muted ? resyncMs : 50
  printAim({
    name: `removed by hand → back, ${muted ? 'without' : 'with'} events`,
    figures: `median ${median(times).toFixed(0)} ms, p99 ${worst.toFixed(0)} ms (${count} removals)`,
    aim: muted ? `≤ ${resyncMs} ms, the resync period` : 'p99 ≤ 50 ms',
    met: worst <= limit,
  })
}
