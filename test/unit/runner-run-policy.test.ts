import { expect, test } from 'vitest'
import { resultOf, RunPolicyFiles } from '../../runner/run-policy.ts'
import { runStrategies } from '../../src/api/wire/run-policy.ts'
import { recordingLog, virtualClock } from './runner-fakes.ts'

test.each([
  ['GuestShutdown', [undefined, 'Succeeded', 'Succeeded', 'Succeeded']],
  ['GuestPanicked', [undefined, undefined, 'Failed', 'Failed']],
  ['QemuCrashed', [undefined, undefined, 'Failed', 'Failed']],
  ['QemuStartFailed', [undefined, undefined, undefined, undefined]],
  ['Stopped', [undefined, undefined, undefined, undefined]],
  ['ForcedOff', [undefined, undefined, undefined, undefined]],
] as const)('after %s, Always, RerunOnFailure, Once and Manual end with %j', (exit, results) => {
  expect(runStrategies.map((strategy) => resultOf({ strategy, run: '' }, exit))).toEqual(results)
})

function aDisk(files: Record<string, string>) {
  const disk = { files, isFull: false }
  const clock = virtualClock()
  const ports = {
    async readText(path: string) {
      const text = disk.files[path]
      if (text === undefined) throw Object.assign(new Error(`ENOENT: ${path}`), { code: 'ENOENT' })
      return text
    },
    async replaceText(path: string, text: string) {
      if (disk.isFull) throw new Error('ENOSPC')
      disk.files[path] = text
    },
  }
  const runs = (): RunPolicyFiles =>
    new RunPolicyFiles({ files: ports, policyPath: 'policy', finishedPath: 'finished', clock, log: recordingLog() })
  return { disk, clock, runs }
}

const policy = (strategy: string, run = ''): string => JSON.stringify({ version: 1, strategy, run })
const never = new AbortController().signal

test('without a policy the guest may always run, as with release 0.1', async () => {
  const { runs } = aDisk({})
  await runs().untilAllowed(() => undefined, never)
  expect(await runs().policy()).toEqual({ strategy: 'Always', run: '' })
})

test('a finished Once is not run by the next runner either, whatever happened to its service', async () => {
  const { disk, clock, runs } = aDisk({ policy: policy('Once') })
  await runs().finish('Succeeded', '', 'The guest shut itself down', never)
  const next = runs()
  let said = ''
  let isAllowed = false
  void next.untilAllowed(({ message }) => (said = message), never).then(() => (isAllowed = true))
  await clock.pass(3_600_000)
  expect({ isAllowed, said, finished: next.finished }).toEqual({
    isAllowed: false,
    said: 'The guest shut itself down',
    finished: { result: 'Succeeded', run: '' },
  })
  disk.files['policy'] = policy('Always')
  await clock.pass(2_000)
  expect({ isAllowed, noted: disk.files['finished'] }).toEqual({ isAllowed: true, noted: 'null\n' })
})

test('another request runs a Manual guest again', async () => {
  const { disk, clock, runs } = aDisk({ policy: policy('Manual', 'r1') })
  await runs().finish('Failed', 'r1', 'QEMU ended', never)
  let isAllowed = false
  void runs()
    .untilAllowed(() => undefined, never)
    .then(() => (isAllowed = true))
  await clock.pass(10_000)
  expect(isAllowed).toBe(false)
  disk.files['policy'] = policy('Manual', 'r2')
  await clock.pass(2_000)
  expect(isAllowed).toBe(true)
})

test('an end is noted as soon as there is room', async () => {
  const { disk, clock, runs } = aDisk({ policy: policy('Once') })
  disk.isFull = true
  let isNoted = false
  void runs()
    .finish('Succeeded', '', '', never)
    .then(() => (isNoted = true))
  await clock.pass(60_000)
  expect(isNoted).toBe(false)
  disk.isFull = false
  await clock.pass(2_000)
  expect(isNoted).toBe(true)
})

test.each(['', '{', '{"version":1,"strategy":"Sometimes","run":""}'])('the unreadable policy %j starts nothing', async (text) => {
  const { disk, clock, runs } = aDisk({ policy: text })
  let isAllowed = false
  void runs()
    .untilAllowed(() => undefined, never)
    .then(() => (isAllowed = true))
  await clock.pass(60_000)
  expect(isAllowed).toBe(false)
  disk.files['policy'] = policy('Always')
  await clock.pass(2_000)
  expect(isAllowed).toBe(true)
})
