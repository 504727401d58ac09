import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { say, until } from '../lab/run.ts'
import { repairMs, resyncMs, type SilenceBench, silenceBench } from './silent-events/bench.ts'
import { openE2e } from './support.ts'

let bench: SilenceBench

beforeAll(async () => {
  bench = await silenceBench(await openE2e())
})

afterAll(() => bench.close())

describe('a stream of events that falls silent and is not closed', () => {
  it('costs at most one resync period, removes and restarts nothing, and opens a new stream', async () => {
    const { proxy } = bench
    const watch = proxy.watch()
    proxy.hush.begin('open')
    const began = performance.now()
    const repairs = await bench.hands()
    for (const [what, ms] of Object.entries(repairs)) expect(ms, what).toBeLessThan(resyncMs + repairMs)
    await until('another stream', 60_000, async () => (watch.calls.includes('GET /events') ? true : undefined))
    const noticedMs = Math.round(performance.now() - began)
    // It reports changes again.
    const againMs = await bench.removedAgain()
    say(
      `silent: as declared after ${JSON.stringify(repairs)} ms, another stream after ${noticedMs} ms, then a removal restored in ${againMs} ms`,
    )
    expect(againMs).toBeLessThan(repairMs)
    expect(await bench.wrong(watch), bench.log()).toEqual([])
  })
})
