import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { readNicSlots } from '../../runner/launch-files.ts'
import { stateFiles } from '../../src/adapters/node/state-files.ts'
import { runnerFiles } from '../../src/adapters/node/runner-files.ts'
import { keepNicSlots } from '../../src/agent/keep-nic-slots.ts'
import { type Layout, layout } from '../../src/api/layout.ts'
import { assignSlots } from '../../src/api/wire/nic-slots.ts'
import { aMac, aUid } from '../support/branded.ts'

const uid = aUid('11111111-1111-4111-8111-111111111111')
const mac = aMac('52:54:00:12:34:56')

function slotOf(slots: ReturnType<typeof assignSlots>, name: string): number | undefined {
  return slots.find((one) => one.name === name)?.slot
}

test('networks get the slots in their order, from the one that release 0.1 used', () => {
  expect(assignSlots([], ['lan', 'dmz'])).toEqual([
    { name: 'lan', slot: 2 },
    { name: 'dmz', slot: 3 },
  ])
})

test('a network keeps its slot whatever becomes of the others, and gets it back when it returns', () => {
  const three = assignSlots([], ['lan', 'dmz', 'mgmt'])
  const two = assignSlots(three, ['mgmt', 'dmz'])
  const again = assignSlots(two, ['wan', 'dmz', 'lan', 'mgmt'])
  expect(['lan', 'dmz', 'mgmt', 'wan'].map((name) => slotOf(again, name))).toEqual([2, 3, 4, 5])
})

test('only if all slots were used, a new network gets the slot of a removed one', () => {
  const names = Array.from({ length: 8 }, (_, index) => `n${index}`)
  const full = assignSlots([], names)
  const others = names.filter((name) => name !== 'n3')
  const next = assignSlots(full, ['new', ...others])
  expect(slotOf(next, 'new')).toBe(slotOf(full, 'n3'))
  expect(others.map((name) => slotOf(next, name))).toEqual(others.map((name) => slotOf(full, name)))
  expect(new Set(next.map(({ slot }) => slot)).size).toBe(8)
})

let paths: Layout
beforeEach(() => {
  paths = layout(mkdtempSync(join(tmpdir(), 'swarmvirt-slots-')))
  mkdirSync(paths.instance(uid), { recursive: true })
})
afterEach(() => rmSync(paths.root, { recursive: true }))

const nics = (...names: readonly string[]) => names.map((name) => ({ name, bridge: 'br0', mac, mtu: null }))
const keep = (...names: readonly string[]) => keepNicSlots({ files: stateFiles(), layout: paths }, { uid, nics: nics(...names) })
const start = async (...names: readonly string[]) => {
  return (await readNicSlots(runnerFiles, paths.nicSlotsFile(uid), { nics: names.map((name) => ({ name, mac })) })).map(
    ({ name, slot }) => `${name} ${slot}`,
  )
}

test('what the agent writes is what it wrote in the first release that had it', async () => {
  await keep('lan', 'dmz')
  expect(readFileSync(paths.nicSlotsFile(uid), 'utf8')).toBe('{"version":1,"slots":[{"name":"lan","slot":2},{"name":"dmz","slot":3}]}\n')
})

test('a runner that starts before the agent wrote the slots gets those that the agent then writes', async () => {
  await keep('lan', 'dmz')
  const started = await start('wan', 'dmz')
  await keep('wan', 'dmz')
  expect(started).toEqual(['wan 4', 'dmz 3'])
  expect(await start('dmz', 'wan')).toEqual(['dmz 3', 'wan 4'])
})

test('the NIC of a VM of release 0.1, which has no file, stays in its slot when one is added before it', async () => {
  expect(await start('lan')).toEqual(['lan 2'])
  await keep('lan')
  expect(await start('dmz', 'lan')).toEqual(['dmz 3', 'lan 2'])
})

test.each(['{', '{"version":2,"slots":[]}', '{"version":1,"slots":[{"name":"lan","slot":1}]}'])(
  'a file that is not valid is not started over: %s',
  async (text) => {
    writeFileSync(paths.nicSlotsFile(uid), text)
    await expect(keep('lan')).rejects.toThrow(/nic-slots\.json is not valid/)
    await expect(start('lan')).rejects.toThrow(/nic-slots\.json is not/)
  },
)
