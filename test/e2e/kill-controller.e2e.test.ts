import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { killPlaces } from '../lab/docker-proxy.ts'
import { type Bench, type Change, changes, type CleanRun, killBench, recoveryMs } from './kill-controller/lives.ts'
import { openE2e } from './support.ts'

/** A handful of calls, spread over each change; test/full has all of them. */
const lives = 4
let bench: Bench
const clean = new Map<Change, CleanRun>()

beforeAll(async () => {
  bench = await killBench(await openE2e())
  for (const change of changes) clean.set(change, await bench.clean('kill-clean', change))
})

afterAll(() => bench.close())

describe('a controller that is killed in the middle of a change, and started again', () => {
  it.each(Array.from({ length: lives }, (_none, life) => life))('comes to the end it would have come to: life %i', async (life) => {
    for (const change of changes) {
      const run = clean.get(change)
      if (run === undefined) throw new Error(`${change} was not measured`)
      const call = 1 + Math.floor(((life + 0.5) * run.calls.length) / lives)
      const place = killPlaces[life % killPlaces.length] ?? 'before'
      const { ms } = await bench.killed(`kill-${life}`, change, run, call, place)
      expect(ms).toBeLessThan(recoveryMs)
    }
  })
})
