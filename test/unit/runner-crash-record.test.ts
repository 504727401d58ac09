import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { runnerFiles } from '../../src/adapters/node/runner-files.ts'
import { afterCrash, type CrashRecord, crashDelayMs, readCrashRecord, writeCrashRecord } from '../../runner/crash-record.ts'
import { CrashBackoff } from '../../runner/crash-backoff.ts'
import { recordingLog, virtualClock } from './runner-fakes.ts'

const nowMs = Date.parse('2026-01-01T00:00:00Z')

function crashed(times: number): CrashRecord | undefined {
  let record: CrashRecord | undefined
  for (let each = 0; each < times; each += 1) record = afterCrash(record, { nowMs, ranMs: 5_000, exitCode: 71, isCrash: true })
  return record
}

test.each([
  [0, 0],
  [1, 1_000],
  [2, 2_000],
  [3, 4_000],
  [6, 32_000],
  [7, 60_000],
  [500, 60_000],
])('after %i crashes in a row the next start waits %i ms', (times, delayMs) => {
  expect(crashDelayMs(crashed(times), nowMs)).toBe(delayMs)
})

test('the time since the crash counts as waited', () => {
  expect(crashDelayMs(crashed(3), nowMs + 3_000)).toBe(1_000)
  expect(crashDelayMs(crashed(3), nowMs + 3_600_000)).toBe(0)
})

test('a clock that was set back lengthens no wait', () => {
  expect(crashDelayMs(crashed(3), nowMs - 3_600_000)).toBe(4_000)
})

test('a crash after ten good minutes is a first one, and still counted', () => {
  const record = afterCrash(crashed(5), { nowMs, ranMs: 600_000, exitCode: 71, isCrash: true })
  expect(record).toMatchObject({ failures: 1, restarts: 6 })
})

test('a record is read as written, and an invalid one is reported and ignored', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'svrt-crash-'))
  const path = join(directory, 'crash.json')
  const problems: string[] = []
  const read = (): Promise<CrashRecord | undefined> => readCrashRecord(runnerFiles, path, (why) => problems.push(why))
  try {
    expect(await read()).toBeUndefined()
    expect(problems).toEqual([])
    const record = afterCrash(undefined, { nowMs, ranMs: 0, exitCode: 70, isCrash: true })
    await writeCrashRecord(runnerFiles, path, record)
    expect(await read()).toEqual(record)
    await writeFile(path, '{"version": 2}')
    expect(await read()).toBeUndefined()
    expect(problems).toHaveLength(1)
  } finally {
    await rm(directory, { recursive: true })
  }
})

test('the wait after a crash says why the last run ended and when the next one begins', async () => {
  const files: Record<string, string> = {}
  const clock = virtualClock(Date.parse('2026-01-01T00:00:00Z'))
  const said: string[] = []
  const backoff = new CrashBackoff({
    files: {
      readText: (path: string) => Promise.resolve(files[path] ?? ''),
      replaceText: async (path: string, text: string) => void (files[path] = text),
    } as never,
    path: 'crash.json',
    clock,
    log: recordingLog(),
    onWaiting: (message) => said.push(message),
  })
  await backoff.count({ exit: 'QemuCrashed', message: 'QEMU ended (exit code 0: internal-error)' }, undefined)
  await backoff.count({ exit: 'GuestShutdown', message: 'The guest shut itself down' }, undefined)
  const waited = backoff.wait(new AbortController().signal)
  await clock.pass(2_000)
  await waited
  expect(said).toEqual([
    'The guest ended 2 times in a row, the last time with exit code 75: The guest shut itself down; next start at 2026-01-01T00:00:02.000Z',
  ])
  expect(backoff.restarts).toBe(1)
})
