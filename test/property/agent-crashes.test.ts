import { describe, expect, test } from 'vitest'
import { type Grant } from '../../src/api/wire/common.ts'
import type { PrepareOrder, PrepareStatus } from '../../src/api/wire/agent-api.ts'
import { addressesFile } from '../../src/api/wire/addresses.ts'
import { type Identity, identity as identitySchema, identityText } from '../../src/api/wire/identity.ts'
import { sha256Hex } from '../../src/api/hash.ts'
import { isWhole } from '../whole.ts'
import { endings, type Operation, sweepCrashes } from './crashes/every-crash.ts'
import { type Agent, blankOf, overlayOf, paths, type SimulatedNode } from './crashes/simulated-node.ts'
import { aMac, aUid, aVmName } from '../support/branded.ts'
import type { Mac } from '../../src/api/mac.ts'

const uid = aUid('11111111-1111-4111-8111-111111111111')
const other = aUid('22222222-2222-4222-8222-222222222222')
const mebibyte = 1024 ** 2
const guestData = 'what the guest wrote'

function anOrder(disk: { name?: string; source?: string; sizeMiB?: number } = {}, change: Partial<PrepareOrder> = {}): PrepareOrder {
  const { name = 'root', source = 'images/a', sizeMiB = 16 } = disk
  const disks = [{ name, sizeBytes: sizeMiB * mebibyte, image: { source, sha256: null } }]
  const nics = [{ name: 'lan', bridge: 'br0', mac: aMac('52:54:00:00:00:01'), mtu: null }]
  return {
    version: 1,
    uid,
    vm: aVmName('web'),
    cluster: 'lab',
    disks,
    disksMustExist: false,
    accelerator: 'auto',
    softwareEmulation: true,
    nics,
    ...change,
  }
}

/** As the controller does: until the order is no longer under way. */
async function prepared(agent: Agent, order: PrepareOrder): Promise<PrepareStatus> {
  for (let tries = 0; tries < 5; tries += 1) {
    const status = await agent.orders.prepare(order)
    if (status.state !== 'preparing' || agent.life.isOver) return status
  }
  throw new Error('it stays under way')
}

async function mustBeReady(agent: Agent, order: PrepareOrder): Promise<void> {
  const status = await prepared(agent, order)
  if (!agent.life.isOver) expect(status).toMatchObject({ state: 'ready' })
}

/** A VM that ran, and beside it another one. */
async function aVmThatRan(node: SimulatedNode): Promise<void> {
  node.anImage('a', 'image a')
  node.anImage('b', 'image b')
  const agent = await node.boot()
  await mustBeReady(agent, anOrder())
  await mustBeReady(agent, anOrder({}, { uid: other, vm: aVmName('db') }))
  agent.stop()
  for (const one of [uid, other]) {
    const disk = node.disk.names.get(paths.diskFile(one, 'root'))
    if (disk !== undefined) disk.content += guestData
  }
}

/** The token of the refusal goes into the manifest. */
async function allowing(node: SimulatedNode, order: PrepareOrder): Promise<PrepareOrder> {
  const agent = await node.boot()
  const refusal = await prepared(agent, order)
  agent.stop()
  const [, disk = '', token = ''] = /replace-disks: "([^=]+)=([0-9a-f]{16})"/.exec('message' in refusal ? refusal.message : '') ?? []
  return { ...order, replaceDisks: [{ disk, token }] }
}

function identityOf(node: SimulatedNode, of = uid): Identity | undefined {
  const text = node.disk.content(paths.identityFile(of))
  return text === undefined ? undefined : identitySchema.parse(JSON.parse(text))
}

const diskFiles = (node: SimulatedNode, of = uid): string[] =>
  (node.disk.list(paths.disks(of)) ?? []).filter((name) => name.endsWith('.qcow2'))

/** A file with a disk's name is complete and its image exists, and no file of another VM or of the operator changed. */
function everyDiskIsWhole(node: SimulatedNode): void {
  for (const name of diskFiles(node)) {
    const content = node.disk.content(`${paths.disks(uid)}/${name}`) ?? ''
    if (content.startsWith(blankOf(16 * mebibyte))) continue
    const [, sha256 = ''] = /^overlay of \.\.\/images\/([0-9a-f]{64}), \d+ bytes;/.exec(content) ?? []
    if (sha256Hex(node.disk.content(`${paths.instanceImages(uid)}/${sha256}`) ?? '') !== sha256)
      throw new Error(`${name} is not whole, or its image is not: ${content}`)
  }
  for (const name of node.disk.list(paths.store) ?? [])
    if (!name.includes('partial') && sha256Hex(node.disk.content(`${paths.store}/${name}`) ?? '') !== name)
      throw new Error(`${name} in the store is not whole`)
  if (identityOf(node, other) !== undefined && !node.disk.content(paths.diskFile(other, 'root'))?.endsWith(guestData))
    throw new Error('the disk of another VM has changed')
}

/** The identity says what the disks are, and nothing is left of the work. */
function isAtRest(node: SimulatedNode, disks: Readonly<Record<string, string>>): void {
  const identity = identityOf(node)
  expect(Object.fromEntries(diskFiles(node).map((name) => [name, node.disk.content(`${paths.disks(uid)}/${name}`)]))).toEqual(disks)
  expect(diskFiles(node)).toEqual(identity?.disks.map(({ name }) => `${name}.qcow2`).sort())
  // A file keeps its first size until the runner grows it.
  for (const { name, imageSha256, sizeBytes, createdBytes = sizeBytes } of identity?.disks ?? [])
    expect(disks[`${name}.qcow2`]).toContain(
      imageSha256 === undefined ? blankOf(createdBytes) : overlayOf(`../images/${imageSha256}`, createdBytes),
    )
  expect(node.disk.list(paths.instance(uid))).toEqual(['disks', 'identity.json', 'images', 'nic-slots.json', 'run'])
  // A link that a dropped edit left takes no room, and goes with the VM or is used by the next edit.
  expect(node.disk.list(paths.instanceImages(uid))).toEqual(
    expect.arrayContaining(identity?.disks.flatMap(({ imageSha256 }) => imageSha256 ?? []) ?? []),
  )
  expect(node.disk.list(paths.grants)?.filter((name) => !name.endsWith('.json'))).toEqual([])
}

const shaOf = (node: SimulatedNode, name: string): string => sha256Hex(node.disk.content(`${paths.images}/${name}`) ?? '')

const blankDisk = { name: 'scratch', sizeBytes: 16 * mebibyte }

const prepare: Operation = {
  name: 'preparing a VM with three disks, one of them blank',
  given: async (node) => void [node.anImage('a', 'image a'), node.anImage('b', 'image b')],
  run: (agent) =>
    mustBeReady(agent, anOrder({}, { disks: [...anOrder().disks, blankDisk, ...anOrder({ name: 'data', source: 'images/b' }).disks] })),
  mustHold: everyDiskIsWhole,
  mustEnd(node) {
    isAtRest(node, {
      'root.qcow2': overlayOf(`../images/${shaOf(node, 'a')}`, 16 * mebibyte),
      'scratch.qcow2': blankOf(16 * mebibyte),
      'data.qcow2': overlayOf(`../images/${shaOf(node, 'b')}`, 16 * mebibyte),
    })
    expect(node.granted.get(uid)).toMatchObject({ vm: 'web' })
  },
}

/** An edit that its manifest allows to destroy a disk; afterwards the order stays, or goes back to what it was. */
function replacing(what: string, edit: { name?: string; source?: string; sizeMiB?: number }, withdrawn: boolean): Operation {
  const name = edit.name ?? 'root'
  let allowed = anOrder()
  const dataOf = (node: SimulatedNode): string => node.disk.content(paths.diskFile(uid, 'root')) ?? ''
  return {
    name: `replacing a disk (${what}${withdrawn ? ', then withdrawn' : ''})`,
    async given(node) {
      await aVmThatRan(node)
      allowed = await allowing(node, anOrder(edit, { disksMustExist: true }))
    },
    run: (agent) => mustBeReady(agent, allowed),
    thenRun: (agent) => (withdrawn ? prepared(agent, anOrder({}, { disksMustExist: true })) : mustBeReady(agent, allowed)),
    mustHold(node) {
      everyDiskIsWhole(node)
      const isOld = dataOf(node).endsWith(guestData)
      if (!isOld && node.disk.content(paths.diskFile(uid, name)) === undefined)
        throw new Error('neither the old disk nor the new one is there')
      // At every point at which the identity speaks of the new disk alone, that is what is there.
      if (isOld && identityOf(node)?.disks.some(({ madeAs }) => madeAs !== undefined && !isMadeFirst(madeAs)) && name === 'root')
        throw new Error('the identity speaks of a new disk, and the old one is there')
    },
    mustEnd(node) {
      const isOld = dataOf(node).endsWith(guestData)
      if (!withdrawn) expect(isOld).toBe(false)
      const [sha256, size] = isOld ? [shaOf(node, 'a'), 16] : [shaOf(node, edit.source === undefined ? 'a' : 'b'), edit.sizeMiB ?? 16]
      isAtRest(node, {
        [`${isOld ? 'root' : name}.qcow2`]: `${overlayOf(`../images/${sha256}`, size * mebibyte)}${isOld ? guestData : ''}`,
      })
    },
  }
}

/** The VM runs all the while. Afterwards the order stays, or goes back to what it was. */
function adding(what: string, disk: PrepareOrder['disks'][number]): Operation {
  const order = anOrder({}, { disksMustExist: true, disks: [...anOrder().disks, disk] })
  return {
    name: `adding ${what} to a VM that runs`,
    given: async (node) => {
      await aVmThatRan(node)
      node.open.add(paths.diskFile(uid, 'root'))
    },
    run: (agent) => mustBeReady(agent, order),
    mustHold: runsOn,
    mustEnd(node) {
      isAtRest(node, {
        'root.qcow2': `${overlayOf(`../images/${shaOf(node, 'a')}`, 16 * mebibyte)}${guestData}`,
        'scratch.qcow2': disk.image === undefined ? blankOf(16 * mebibyte) : overlayOf(`../images/${shaOf(node, 'b')}`, 16 * mebibyte),
      })
      expect(
        identityOf(node)
          ?.disks.map(({ name, slot }) => [name, slot])
          .sort(),
      ).toEqual([
        ['root', 10],
        ['scratch', 11],
      ])
    },
  }
}

function runsOn(node: SimulatedNode): void {
  everyDiskIsWhole(node)
  if (!node.disk.content(paths.diskFile(uid, 'root'))?.endsWith(guestData)) throw new Error('the disk of the running VM has changed')
  if (identityOf(node)?.disks.some(({ name }) => name === 'root') !== true)
    throw new Error('the identity has lost the disk of the running VM')
}

/** The file does not change: the runner grows it at the next start. Afterwards the order stays, or goes back to what it was. */
function growing(withdrawn: boolean): Operation {
  const order = anOrder({ sizeMiB: 64 }, { disksMustExist: true })
  const sizeOf = (node: SimulatedNode) => identityOf(node)?.disks.map(({ sizeBytes, createdBytes }) => [sizeBytes, createdBytes])
  return {
    name: `growing a disk${withdrawn ? ', then withdrawn' : ''}`,
    given: aVmThatRan,
    run: (agent) => mustBeReady(agent, order),
    thenRun: (agent) => (withdrawn ? prepared(agent, anOrder({}, { disksMustExist: true })) : mustBeReady(agent, order)),
    mustHold: runsOn,
    mustEnd(node) {
      expect(diskFiles(node)).toEqual(['root.qcow2'])
      const grown = [[64 * mebibyte, 16 * mebibyte]]
      // The simulated file has no header, so a size that was noted is not withdrawn.
      expect(withdrawn ? [grown, [[16 * mebibyte, undefined]]] : [grown]).toContainEqual(sizeOf(node))
    },
  }
}

/** A disk that holds data leaves the manifest, and another one comes in a second edit. */
const removing: Operation = {
  name: 'removing a disk and then adding another one',
  async given(node) {
    await aVmThatRan(node)
    const agent = await node.boot()
    await mustBeReady(agent, anOrder({}, { disks: [...anOrder().disks, { ...blankDisk, name: 'data' }] }))
    agent.stop()
    const disk = node.disk.names.get(paths.diskFile(uid, 'data'))
    if (disk !== undefined) disk.content += guestData
  },
  async run(agent) {
    await mustBeReady(agent, anOrder())
    if (!agent.life.isOver) await mustBeReady(agent, anOrder({}, { disks: [...anOrder().disks, blankDisk] }))
  },
  mustHold: runsOn,
  mustEnd(node) {
    isAtRest(node, {
      'root.qcow2': `${overlayOf(`../images/${shaOf(node, 'a')}`, 16 * mebibyte)}${guestData}`,
      'data.qcow2': `${blankOf(16 * mebibyte)}${guestData}`,
      'scratch.qcow2': blankOf(16 * mebibyte),
    })
    expect(
      identityOf(node)
        ?.disks.filter(({ removed }) => removed === true)
        .map(({ name }) => name),
    ).toEqual(['data'])
  },
}

/** The VM runs with 15 disks. A person deleted the file of the 16th, which left the manifest, so its slot is free for another one. */
const addingToFull: Operation = {
  name: 'adding a disk to a full VM that runs',
  async given(node) {
    await aVmThatRan(node)
    const identity = identityOf(node)
    if (identity === undefined) throw new Error('web has no identity')
    const names = Array.from({ length: 15 }, (_, index) => `d${index}`)
    const records = names.map((name, index) => ({
      name,
      sizeBytes: 16 * mebibyte,
      slot: 11 + index,
      ...(index > 13 && { removed: true as const }),
    }))
    node.disk.put(paths.identityFile(uid), identityText({ ...identity, disks: [...identity.disks, ...records] }))
    for (const name of names.slice(0, 14)) node.disk.put(paths.diskFile(uid, name), blankOf(16 * mebibyte))
    node.open.add(paths.diskFile(uid, 'root'))
  },
  run: (agent) => mustBeReady(agent, fullOrder),
  mustHold: runsOn,
  mustEnd: (node) => expect(identityOf(node)?.disks.find(({ name }) => name === 'scratch')?.slot).toBe(25),
}
const fullOrder = anOrder(
  {},
  {
    disksMustExist: true,
    disks: [...anOrder().disks, ...Array.from({ length: 14 }, (_, index) => ({ ...blankDisk, name: `d${index}` })), blankDisk],
  },
)

/** Ids count up: the first one is that of the disk which the VM was made with. */
const isMadeFirst = (madeAs: string): boolean => Number(madeAs.slice(-12)) <= 4

const deletion = (what: string, begun?: { name?: string; source?: string }): Operation => {
  let allowed: PrepareOrder | undefined
  return {
    name: `deleting the disks of a VM${what}`,
    async given(node) {
      await aVmThatRan(node)
      node.disk.put(paths.serialLog(uid), 'log')
      node.disk.put(paths.addressesFile(uid), '{}')
      if (begun !== undefined) allowed = await allowing(node, anOrder(begun, { disksMustExist: true }))
    },
    run: (agent) => (allowed === undefined ? deleted(agent) : mustBeReady(agent, allowed)),
    thenRun: deleted,
    mustHold(node) {
      everyDiskIsWhole(node)
      if (diskFiles(node).length > 0 && identityOf(node) === undefined) throw new Error('a disk is there and nobody can say whose')
    },
    mustEnd(node) {
      expect([...node.disk.names.keys()].filter((path) => path.includes(uid))).toEqual([])
      expect(node.granted.has(uid)).toBe(false)
    },
  }
}

async function deleted(agent: Agent): Promise<void> {
  const status = await agent.orders.deleteDisks({ version: 1, uid, vm: aVmName('web'), cluster: 'lab' })
  if (!agent.life.isOver) expect(status).toEqual({ state: 'gone' })
}

const storing: Operation = {
  name: 'storing an image',
  given: async (node) => void node.anImage('a', 'image a'),
  async run(agent, node) {
    const state = await agent.images.resolve({ source: 'images/a', sha256: null })
    if (!agent.life.isOver) expect(state).toMatchObject({ kind: 'stored' })
    void agent.images.sweep()
    await node.clock.pass(7_200_000)
  },
  mustHold: everyDiskIsWhole,
  mustEnd: (node) => expect(node.disk.list(paths.store)).toEqual([shaOf(node, 'a')]),
}

const aGrant = (mac: Mac): Grant => ({
  version: 1,
  uid,
  vm: aVmName('web'),
  accelerator: 'tcg',
  nics: [{ name: 'lan', bridge: 'br0', mac, mtu: null }],
})
const fileIsWhole = (node: SimulatedNode): void => void JSON.parse(node.disk.content(paths.grantFile(uid)) ?? '{}')

const granting: Operation = {
  name: 'granting',
  given: async (node) => {
    const agent = await node.boot()
    await agent.grants.put(aGrant(aMac('52:54:00:00:00:01')))
  },
  run: (agent) => agent.grants.put(aGrant(aMac('52:54:00:00:00:02'))),
  mustHold: fileIsWhole,
  mustEnd(node) {
    expect([node.granted.get(uid), JSON.parse(node.disk.content(paths.grantFile(uid)) ?? '')]).toEqual([
      aGrant(aMac('52:54:00:00:00:02')),
      aGrant(aMac('52:54:00:00:00:02')),
    ])
    expect(node.disk.list(paths.grants)).toEqual([`${uid}.json`])
  },
}

const revoking: Operation = {
  ...granting,
  name: 'revoking',
  run: (agent) => agent.grants.revoke(uid),
  mustEnd: (node) => expect([node.disk.list(paths.grants), node.granted.size]).toEqual([[], 0]),
}

const mac = aMac('52:54:00:00:00:01')
const hearing: Operation = {
  name: 'keeping learned addresses',
  given: aVmThatRan,
  async run(agent) {
    await agent.learned.merge(uid, [{ mac, ip: '192.168.50.7', via: 'arp', interface: 'br0', ageMs: 1 }], undefined)
    await agent.learned.merge(uid, [{ mac, ip: '192.168.50.8', via: 'arp', interface: 'br0', ageMs: 1 }], undefined)
  },
  mustHold: (node) => void addressesFile.parse(JSON.parse(node.disk.content(paths.addressesFile(uid)) ?? '{"version":1,"heard":[]}')),
  mustEnd(node) {
    expect(JSON.parse(node.disk.content(paths.addressesFile(uid)) ?? '')).toMatchObject({ heard: [{ ip: '192.168.50.8' }] })
    expect(node.disk.list(paths.instance(uid))).toEqual(['addresses.json', 'disks', 'identity.json', 'images', 'nic-slots.json', 'run'])
  },
}

const edits: readonly (readonly [string, { name?: string; source?: string; sizeMiB?: number }])[] = [
  ['another image', { source: 'images/b' }],
  ['a smaller size', { sizeMiB: 8 }],
  ['another name', { name: 'main' }],
]

const operations: readonly Operation[] = [
  prepare,
  ...edits.flatMap(([what, edit]) => [replacing(what, edit, false), replacing(what, edit, true)]),
  adding('a blank disk', blankDisk),
  adding('a disk from an image', anOrder({ name: 'scratch', source: 'images/b' }).disks[0] ?? blankDisk),
  addingToFull,
  removing,
  growing(false),
  growing(true),
  deletion(''),
  deletion(' whose disk was being replaced', { source: 'images/b' }),
  deletion(' whose disk was being renamed', { name: 'main' }),
  storing,
  granting,
  revoking,
  hearing,
]

/** In `npm test` each recovery is killed at every fourth of its steps. */
const sampled = 4

/** A sweep of two thousand runs takes some seconds, and longer on a machine that does something else. */
const hangMs = 300_000

describe('an agent that is killed at any step, and killed again at any step of what the next one does', () => {
  for (const ending of endings) {
    test.each(operations.map((operation) => [operation.name, operation] as const))(
      `(${ending}) ends as it should: %s`,
      async (_name, operation) => {
        const { firstCrashes, runs } = await sweepCrashes(operation, ending, isWhole ? 1 : sampled)
        // An operation of one step is no operation of several, and a sweep that never kills twice proves nothing.
        expect(firstCrashes).toBeGreaterThan(3)
        expect(runs).toBeGreaterThan(firstCrashes)
      },
      hangMs,
    )
  }
})
