import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'

/** The output of `manifest-fuzz.child.ts`: one line of JSON. */
interface FuzzReport {
  readonly runs: number
  readonly accepted: number
  readonly codes: Readonly<Record<string, number>>
  readonly wrong: readonly string[]
  readonly slowest: readonly { readonly ms: number; readonly seed: number }[]
}

const child = join(import.meta.dirname, 'manifest-fuzz.child.ts')
/** `SWARMVIRT_FUZZ_RUNS=200000 SWARMVIRT_FUZZ_SEED=1` make a long run of it (docs/testing.md). */
const runs = process.env['SWARMVIRT_FUZZ_RUNS'] ?? '3000'
const seed = process.env['SWARMVIRT_FUZZ_SEED'] ?? '1'
// A hang limit: two seconds an input never add up to this.
const limitMs = Math.max(60_000, Number(runs) * 30)

it(
  'no mutation of a manifest ends the process, holds it up, pollutes a prototype or is refused without a place',
  async () => {
    // In a process of its own: what ends that one fails here, with its exit code or signal and the seed it printed last.
    const { stdout } = await promisify(execFile)(process.execPath, [child, seed, runs], { timeout: limitMs, maxBuffer: 64 * 1024 * 1024 })
    const report = JSON.parse(stdout) as FuzzReport
    process.stdout.write(`${report.runs} mutations, ${report.accepted} accepted, ${JSON.stringify(report.codes)}\n`)
    process.stdout.write(`slowest by seed: ${report.slowest.map((one) => `${one.seed} ${one.ms.toFixed(1)} ms`).join(', ')}\n`)
    expect(report).toMatchObject({ runs: Number(runs), wrong: [] })
    expect(report.accepted).toBeGreaterThan(0)
    expect(report.slowest.filter((one) => one.ms > 2_000)).toEqual([])
  },
  limitMs + 10_000,
)
