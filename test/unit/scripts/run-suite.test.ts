import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { endOrphans } from '../../../scripts/orphans.ts'
import { runSuite, stallGuard } from '../../../scripts/run-suite.ts'
import type { Suite } from '../../../scripts/suites.ts'
import { isAlive, processNow } from '../../lab/processes.ts'

const never = new AbortController().signal
let directory = ''
let ended: string[] = []
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'run-suite-'))
  ended = []
  vi.spyOn(process.stdout, 'write').mockReturnValue(true)
})
afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
  rmSync(directory, { recursive: true })
})

function endLabs(labs: readonly string[]): Promise<void> {
  ended.push(...labs)
  return Promise.resolve()
}

function aSuite(script: string): Suite {
  const command = [process.execPath, '-e', script]
  return { name: 'one', what: 'a test', expectedMinutes: 1, labs: ['mine'], command, counts: 'lines' }
}

describe('a suite', () => {
  it('is not ended while it makes progress, however long that takes, and is when it makes none', () => {
    vi.useFakeTimers()
    const onStall = vi.fn()
    const guard = stallGuard(1_000, onStall)
    for (let turn = 0; turn < 50; turn += 1) {
      vi.advanceTimersByTime(999)
      guard.progress()
    }
    expect(onStall).not.toHaveBeenCalled()
    vi.advanceTimersByTime(1_000)
    expect(onStall).toHaveBeenCalledOnce()
  })

  it('that hangs is ended with its children, counts as failed, and its lab goes', async () => {
    const pidFile = join(directory, 'child')
    const child = `require('fs').writeFileSync(${JSON.stringify(pidFile)}, String(process.pid)); setInterval(() => 0, 1000)`
    const script = `require('child_process').spawn(process.execPath, ['-e', ${JSON.stringify(child)}], {stdio: 'ignore'}); console.log('ok     one'); setInterval(() => 0, 1000)`
    const counts = await runSuite(aSuite(script), { directory, stallMs: 6_000, endLabs, signal: never })
    expect(counts).toEqual({ passed: 1, failed: 1, skipped: 0 })
    expect(ended).toEqual(['mine'])
    const pid = Number(readFileSync(pidFile, 'utf8'))
    await vi.waitFor(() => expect(processNow(pid)).toBeUndefined())
  })

  it.each([
    { how: 'passes', script: "console.log('ok     one')", counts: { passed: 1, failed: 0, skipped: 0 } },
    { how: 'dies', script: 'process.exit(3)', counts: { passed: 0, failed: 1, skipped: 0 } },
  ])('that $how leaves no lab and no note', async ({ script, counts }) => {
    expect(await runSuite(aSuite(script), { directory, stallMs: 60_000, endLabs, signal: never })).toEqual(counts)
    expect(ended).toEqual(['mine'])
    expect(readdirSync(directory)).toEqual([])
  })
})

describe('a run that is stopped', () => {
  it('ends its suite, whose lab goes', async () => {
    const stop = new AbortController()
    const counted = runSuite(aSuite('setInterval(() => 0, 1000)'), { directory, stallMs: 60_000, endLabs, signal: stop.signal })
    stop.abort()
    expect(await counted).toEqual({ passed: 0, failed: 1, skipped: 0 })
    expect(ended).toEqual(['mine'])
    expect(readdirSync(directory)).toEqual([])
  })
})

describe('a suite whose runner was killed', () => {
  it('loses its lab at the next run; one whose runner lives keeps it', async () => {
    const self = processNow(process.pid)
    const gone = { pid: process.pid, startTime: '1' }
    writeFileSync(join(directory, 'runner-1.json'), JSON.stringify({ runner: gone, suite: gone, labs: ['left'] }))
    writeFileSync(join(directory, 'runner-2.json'), JSON.stringify({ runner: self, suite: self, labs: ['used'] }))
    await endOrphans(directory, endLabs)
    expect(ended).toEqual(['left'])
    expect(readdirSync(directory)).toEqual(['runner-2.json'])
    expect(self !== undefined && isAlive(self)).toBe(true)
  })
})
