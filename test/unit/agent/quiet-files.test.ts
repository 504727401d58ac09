import { expect, test } from 'vitest'
import { quietFiles, quietMs } from '../../../src/agent/quiet-files.ts'
import type { FileFact } from '../../../src/ports/state-files.ts'
import { virtualClock } from '../controller/virtual-clock.ts'

function aFile(modifiedMs: number, sizeBytes = 1): FileFact {
  return { kind: 'file', sizeBytes, allocatedBytes: sizeBytes, modifiedMs, version: `${sizeBytes}:${modifiedMs}` }
}

test('A file that nobody wrote to for a while is taken at once', () => {
  const clock = virtualClock()
  expect(quietFiles(clock).waitMs('/a', aFile(clock.now() - quietMs))).toBe(0)
})

test('A file that is being copied in is waited for until its time is old enough', async () => {
  const clock = virtualClock()
  const quiet = quietFiles(clock)
  for (let size = 1; size <= 20; size += 1) {
    expect(quiet.waitMs('/a', aFile(clock.now(), size))).toBe(quietMs)
    await clock.pass(3_000)
  }
  const last = aFile(clock.now(), 21)
  await clock.pass(quietMs - 1)
  expect(quiet.waitMs('/a', last)).toBe(1)
  await clock.pass(1)
  expect(quiet.waitMs('/a', last)).toBe(0)
})

test('A file whose time lies in the future is taken once it was seen unchanged for long enough', async () => {
  const clock = virtualClock()
  const quiet = quietFiles(clock)
  const future = aFile(clock.now() + 86_400_000)
  expect(quiet.waitMs('/a', future)).toBe(quietMs)
  await clock.pass(quietMs - 1)
  expect(quiet.waitMs('/a', future)).toBe(1)
  expect(quiet.waitMs('/a', aFile(clock.now() + 86_400_000, 2))).toBe(quietMs)
  await clock.pass(quietMs)
  expect(quiet.waitMs('/a', aFile(clock.now() + 86_400_000 - quietMs, 2))).toBe(0)
})

test('A clock that is set back holds up no file for longer', async () => {
  const clock = virtualClock()
  const quiet = quietFiles(clock)
  const fact = aFile(clock.now())
  quiet.waitMs('/a', fact)
  clock.jump(-3_600_000)
  await clock.pass(quietMs)
  expect(quiet.waitMs('/a', fact)).toBe(0)
})
