import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Bench, type Change, changes, type CleanRun, killBench } from '../e2e/kill-controller/lives.ts'
import { openE2e } from '../e2e/support.ts'
import { type KillPlace, killPlaces } from '../lab/docker-proxy.ts'
import { say } from '../lab/run.ts'

/** `2/4` is every fourth call, from the second on: all of them take longer than a suite may. */
const [part = 1, parts = 1] = (process.env['SWARMVIRT_KILL_PART'] ?? '1/1').split('/').map(Number)
/** Concurrent calls come in another order, and in other numbers, from run to run: so many more than the clean run made are tried. */
const more = 5

let bench: Bench
const clean = new Map<Change, CleanRun>()

beforeAll(async () => {
  bench = await killBench(await openE2e())
  for (const change of changes) clean.set(change, await bench.clean('kill-clean', change))
})

afterAll(() => bench.close())

function callsOf(change: Change): number {
  return (clean.get(change)?.calls.length ?? 0) + more
}

/** The milliseconds that each recovery took. A life has a kill in each of its three changes, so that none of them needs a VM of its own. */
async function live(call: number, place: KillPlace): Promise<readonly number[]> {
  const took: number[] = []
  for (const change of changes) {
    const run = clean.get(change)
    if (run === undefined) throw new Error(`${change} was not measured`)
    // Without the edit the VM is as good for what follows.
    if (change === 'edit' && call > callsOf(change)) continue
    const { hit, ms } = await bench.killed(`kill-${call}-${place}`, change, run, call, place)
    if (hit !== undefined) took.push(ms)
  }
  return took
}

describe('a controller that is killed on each call it makes, and started again', () => {
  it('comes to the end it would have come to, in time', { timeout: 3_600_000 }, async () => {
    const last = Math.max(...changes.map(callsOf))
    const took: number[] = []
    const failed: string[] = []
    for (let call = part; call <= last; call += parts) {
      for (const place of killPlaces) {
        // One that does not recover is no reason not to try the others.
        try {
          took.push(...(await live(call, place)))
        } catch (error) {
          failed.push((error as Error).message)
          await bench.clear(`kill-${call}-${place}`).catch((left: Error) => failed.push(left.message))
        }
      }
    }
    say(`${took.length} kills on calls ${part}, ${part + parts} … of ${last}: back after at most ${Math.round(Math.max(...took))} ms`)
    expect(failed).toEqual([])
    // Each call of each change, in three places, as far as this part goes.
    expect(took.length).toBeGreaterThan((3 * last) / parts)
  })
})
