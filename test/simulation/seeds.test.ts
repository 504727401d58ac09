import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'

const main = join(import.meta.dirname, 'main.ts')
const minutes = 60_000

/** In processes of their own, as `npm run simulate` does it; what failed is in its output. */
async function simulated(...args: string[]): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [main, ...args], { maxBuffer: 64 * 1024 ** 2 })
    return stdout.trim()
  } catch (error) {
    throw new Error((error as { stdout?: string }).stdout ?? '', { cause: error })
  }
}

describe('the simulator', { timeout: 10 * minutes }, () => {
  it('finds nothing with 2,000 seeds', async () => {
    expect(await simulated('--seeds', '2000')).toMatch(/^ok +2000 runs, \d+ calls, 0 failed/m)
  })

  it('finds nothing when the controller dies around a write', async () => {
    expect(await simulated('--sweep', 'write-crashes', '--every', '6')).toMatch(/, 0 failed/)
  })

  it('finds nothing when single events and adjacent pairs are dropped', async () => {
    expect(await simulated('--sweep', 'events', '--every', '4')).toMatch(/, 0 failed/)
  })

  it('finds nothing when reads around a delete are stale', async () => {
    expect(await simulated('--sweep', 'stale', '--scenario', 'delete')).toMatch(/, 0 failed/)
  })
})
