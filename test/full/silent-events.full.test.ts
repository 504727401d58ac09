import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { repairMs, resyncMs, type SilenceBench, silenceBench } from '../e2e/silent-events/bench.ts'
import { burst } from '../e2e/silent-events/burst.ts'
import type { Repairs } from '../e2e/silent-events/hands.ts'
import { openE2e } from '../e2e/support.ts'
import { say, until } from '../lab/run.ts'
import { rounds } from './rounds.ts'

/** dockerd keeps 256 events for who asks for what was, and drops what a stream is too slow for. */
const changes = 3_000

let bench: SilenceBench

beforeAll(async () => {
  bench = await silenceBench(await openE2e())
})

afterEach(async () => {
  bench.proxy.hush.end()
  await bench.anew()
})

afterAll(() => bench.close())

function expectSoon(repairs: Repairs, mostMs: number): void {
  for (const [what, ms] of Object.entries(repairs)) expect(ms, what).toBeLessThan(mostMs)
}

describe.each(rounds(2))('events that do not come, time %i', (round) => {
  it('on a stream that nobody closed: found by the lists, and another stream is opened', async () => {
    const { proxy } = bench
    const watch = proxy.watch()
    proxy.hush.begin('open')
    const began = performance.now()
    const repairs = await bench.hands()
    await until('another stream', 60_000, async () => (watch.calls.includes('GET /events') ? true : undefined))
    const noticedMs = Math.round(performance.now() - began)
    const againMs = await bench.removedAgain()
    say(`${round}: silent: as declared after ${JSON.stringify(repairs)} ms, another stream after ${noticedMs} ms, then ${againMs} ms`)
    expectSoon(repairs, resyncMs + repairMs)
    expect(againMs).toBeLessThan(repairMs)
    expect(await bench.wrong(watch), bench.log()).toEqual([])
  })

  it(`with ${changes} changes meanwhile, on streams that are not read and then read again`, async () => {
    const { proxy, deployment } = bench
    const watch = proxy.watch()
    proxy.hush.begin('streams')
    const toldBefore = proxy.hush.told()
    const [burstMs, repairs] = await Promise.all([burst(deployment.lab, changes), bench.hands()])
    proxy.hush.end()
    const againMs = await bench.removedAgain()
    const told = proxy.hush.told() - toldBefore
    say(
      `${round}: ${changes} changes in ${burstMs} ms, ${told} of them reported afterwards: as declared after ${JSON.stringify(repairs)} ms, then ${againMs} ms`,
    )
    expectSoon(repairs, resyncMs + repairMs)
    expect(againMs).toBeLessThan(resyncMs + repairMs)
    expect(await bench.wrong(watch), bench.log()).toEqual([])
  })

  it('and a stream that is cut: everything is reconciled as soon as there is another one', async () => {
    const { proxy } = bench
    const watch = proxy.watch()
    proxy.hush.begin('streams')
    const waiting = bench.hands()
    await new Promise((resolve) => setTimeout(resolve, 1_000))
    proxy.hush.cut()
    proxy.hush.end()
    const repairs = await waiting
    say(`${round}: cut: as declared after ${JSON.stringify(repairs)} ms`)
    expectSoon(repairs, resyncMs)
    await bench.removedAgain()
    expect(await bench.wrong(watch), bench.log()).toEqual([])
  })

  it('and a dockerd that says nothing at all for 20 s', async () => {
    const { proxy } = bench
    const watch = proxy.watch()
    proxy.hush.begin('everything')
    const waiting = bench.hands()
    await new Promise((resolve) => setTimeout(resolve, 20_000))
    proxy.hush.end()
    const began = performance.now()
    const repairs = await waiting
    const ms = Math.round(performance.now() - began)
    say(`${round}: nothing answered for 20 s: as declared ${ms} ms afterwards, ${JSON.stringify(repairs)}`)
    expect(ms).toBeLessThan(repairMs)
    await bench.removedAgain()
    expect(await bench.wrong(watch), bench.log()).toEqual([])
  })
})
