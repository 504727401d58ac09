import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { stateFiles } from '../../../src/adapters/node/state-files.ts'
import { liveEdits } from '../../../src/agent/live-edits.ts'
import { layout } from '../../../src/api/layout.ts'
import { PortError } from '../../../src/ports/errors.ts'
import { aUid } from '../../support/branded.ts'
import { silentLog } from '../controller/virtual-clock.ts'

const uid = aUid('6f1b3a52-3c1d-4a89-9a53-0f6f4f1f9c11')
let paths: ReturnType<typeof layout>

beforeEach(() => {
  paths = layout(mkdtempSync(join(tmpdir(), 'sv-edits-')))
  mkdirSync(paths.instances)
  mkdirSync(paths.instance(uid))
})
afterEach(() => rmSync(paths.root, { recursive: true }))

const keep = (part: object): void => writeFileSync(paths.livePartFile(uid), JSON.stringify({ version: 1, ...part }))

function anAgent(answer: () => readonly string[] | 'unsupported') {
  let asked = 0
  const runners = {
    applyLive: async () => {
      asked += 1
      return answer()
    },
  }
  return { edits: liveEdits({ layout: paths, files: stateFiles(), runners, log: silentLog }), asked: () => asked }
}

test('the runner of a VM without a live part is not asked', async () => {
  const { edits, asked } = anAgent(() => [])
  expect([await edits.apply(uid), asked()]).toEqual(['', 0])
})

test('a runner is asked once for each change', async () => {
  const { edits, asked } = anAgent(() => [])
  keep({ down: ['lan'] })
  await edits.apply(uid)
  await edits.apply(uid)
  expect(asked()).toBe(1)
  keep({})
  await edits.apply(uid)
  expect(asked()).toBe(2)
})

test('a runner that reports a problem is asked again, and the problem is reported meanwhile', async () => {
  const answers = [['disc of cdrom0: no'], []]
  const { edits } = anAgent(() => answers.shift() ?? [])
  keep({ down: ['lan'] })
  expect([await edits.apply(uid), await edits.apply(uid)]).toEqual(['disc of cdrom0: no', ''])
})

test('a runner that starts later is asked then, because it may report a problem', async () => {
  const isThere = { now: false }
  const { edits, asked } = anAgent(() => (isThere.now ? ['disc of cdrom0: no'] : raise(new PortError('NotFound', 'no socket'))))
  keep({ down: ['lan'] })
  expect(await edits.apply(uid)).toBe('')
  isThere.now = true
  expect([await edits.apply(uid), asked()]).toEqual(['disc of cdrom0: no', 2])
})

test.each<[string, () => 'unsupported', RegExp]>([
  ['of release 0.1', () => 'unsupported', /apply at the next restart/],
  ['that does not answer', () => raise(new PortError('Unavailable', 'too slow')), /has not answered: too slow/],
  ['that is not there, and will read the files itself', () => raise(new PortError('NotFound', 'no socket')), /^$/],
])('a runner %s', async (_which, answer, message) => {
  const { edits } = anAgent(answer)
  keep({ down: ['lan'] })
  expect(await edits.apply(uid)).toMatch(message)
})

function raise(error: Error): never {
  throw error
}
