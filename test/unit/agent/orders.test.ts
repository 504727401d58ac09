import { describe, expect, test } from 'vitest'
import { orders } from '../../../src/agent/orders.ts'
import { BrokerRefusal } from '../../../src/agent/broker-link.ts'
import type { PrepareOrder, PrepareStatus } from '../../../src/api/wire/agent-api.ts'
import type { BrokerRequest } from '../../../src/api/wire/broker-admin.ts'
import type { Grant, NicGrant } from '../../../src/api/wire/common.ts'
import { StateError } from '../../../src/ports/state-files.ts'
import { marked } from '../../../src/api/wire/unchanged.ts'
import { aMac, aUid, aVmName } from '../../support/branded.ts'

const uid = aUid('6f1b3a52-3c1d-4a89-9a53-0f6f4f1f9c11')
const order = marked({
  version: 1,
  uid,
  vm: aVmName('web-1'),
  cluster: 'lab',
  disks: [{ name: 'root', sizeBytes: 1, image: { source: 'images/tiny.qcow2', sha256: null } }],
  disksMustExist: false,
  accelerator: 'auto',
  softwareEmulation: true,
  nics: [],
})

/** Orders end with the disks: nothing here has a grant to make. */
function aBook() {
  const carriedOut: PrepareOrder[] = []
  const unused = undefined as never
  const book = orders({
    prepareDisks: async (one) => {
      carriedOut.push(one)
      return { state: 'preparing', reason: 'CopyingImage', message: '' }
    },
    deleteDisks: async () => ({ state: 'gone' }),
    grownDisks: async () => [],
    keepLivePart: async () => undefined,
    liveEdits: { apply: async () => '' },
    firmware: { prepare: async () => undefined, preparePending: async () => undefined },
    keepNicSlots: async () => undefined,
    keepRunPolicy: () => Promise.resolve({}),
    grants: { readClear: async () => undefined, revoke: async () => undefined } as never,
    broker: unused,
    prober: unused,
  })
  return { book, carriedOut }
}

test('the last order is repeated for a caller that knows its mark', async () => {
  const { book, carriedOut } = aBook()
  await book.prepare(order)
  expect(await book.repeat(uid, order.mark)).toMatchObject({ state: 'preparing' })
  expect(carriedOut).toEqual([order, order])
})

test('an order that another one followed is not carried out again', async () => {
  const { book, carriedOut } = aBook()
  await book.prepare(order)
  await book.prepare(marked({ ...order, accelerator: 'tcg' }))
  expect(await book.repeat(uid, order.mark)).toBeUndefined()
  expect(carriedOut).toHaveLength(2)
})

test('an order that was revoked, or that this agent never had, is not carried out again', async () => {
  const { book, carriedOut } = aBook()
  expect(await book.repeat(uid, order.mark)).toBeUndefined()
  await book.prepare(order)
  await book.revoke(uid)
  expect(await book.repeat(uid, order.mark)).toBeUndefined()
  expect(carriedOut).toHaveLength(1)
})

test('an order of a controller of release 0.1 has no mark, and is never named', async () => {
  const { book } = aBook()
  const { mark, ...unmarked } = order
  await book.prepare(unmarked)
  expect(await book.repeat(uid, mark)).toBeUndefined()
})

test('the last answer is given without carrying the order out again', async () => {
  const { book, carriedOut } = aBook()
  expect(book.lastAnswer(uid, order.mark)).toBeUndefined()
  await book.prepare(order)
  expect(book.lastAnswer(uid, order.mark)).toMatchObject({ state: 'preparing' })
  await book.prepare(marked({ ...order, accelerator: 'tcg' }))
  expect(book.lastAnswer(uid, order.mark)).toBeUndefined()
  expect(carriedOut).toHaveLength(2)
})

const lan: NicGrant = { name: 'lan', bridge: 'br0', mac: aMac('52:54:00:00:00:01'), mtu: null }
const dmz: NicGrant = { name: 'dmz', bridge: 'br1', mac: aMac('52:54:00:00:00:02'), mtu: null }

/** An agent whose disks are as `disks` says, with the grant that it holds. */
function granting(held: Grant | undefined, disks?: Exclude<PrepareStatus, { state: 'ready' }>) {
  const world = { held, checked: [] as Grant[], refusal: undefined as Error | undefined, unreadable: undefined as Error | undefined }
  const book = orders({
    prepareDisks: async () => disks,
    deleteDisks: async () => ({ state: 'gone' }),
    grownDisks: async () => [],
    keepLivePart: async () => undefined,
    liveEdits: { apply: async () => '' },
    firmware: { prepare: async () => undefined, preparePending: async () => undefined },
    keepNicSlots: async () => undefined,
    keepRunPolicy: () => Promise.resolve({}),
    grants: {
      readClear: async () => {
        if (world.unreadable !== undefined) throw world.unreadable
        return world.held
      },
      put: async (grant: Grant) => {
        world.held = grant
        return { kind: 'granted' }
      },
    } as never,
    broker: {
      ask: async (request: BrokerRequest) => {
        if (request.type !== 'check') return { type: 'leases', leases: [] }
        world.checked.push(request.grant)
        if (world.refusal !== undefined) throw world.refusal
        return { type: 'ok' }
      },
    } as never,
    prober: { kvm: () => ({ state: 'unusable', reason: 'NoKvm', message: 'none' }), tcg: () => ({ works: true, message: '' }) } as never,
  })
  return { book, world }
}

const aGrant = (nics: NicGrant[], more: Partial<Grant> = {}): Grant => ({
  version: 1,
  uid,
  vm: aVmName('web-1'),
  accelerator: 'tcg',
  nics,
  ...more,
})

describe('an edit that waits for a restart', () => {
  const waiting = { ...order, nics: [lan], pending: { accelerator: 'auto', nics: [dmz] } } as const satisfies PrepareOrder

  test('is checked and not granted', async () => {
    const { book, world } = granting(aGrant([lan]))
    expect(await book.prepare(waiting)).toEqual({
      state: 'ready',
      accelerator: 'tcg',
      emulationReason: 'NoKvm: none',
      pendingAccepted: true,
    })
    expect(world.held).toEqual(aGrant([lan]))
    expect(world.checked).toEqual([aGrant([dmz])])
  })

  test('that the broker would reject is reported, and leaves the VM ready', async () => {
    const { book, world } = granting(aGrant([lan]))
    world.refusal = new BrokerRefusal('BridgeNotAllowed', 'bridge br1 is not allowed')
    expect(await book.prepare(waiting)).toMatchObject({
      state: 'ready',
      pending: { reason: 'BridgeNotAllowed', message: 'bridge br1 is not allowed' },
    })
  })

  test('that requests a broken accelerator is reported', async () => {
    const { book } = granting(aGrant([lan]))
    const pending = { accelerator: 'kvm', nics: [lan] } as const
    expect(await book.prepare({ ...waiting, pending: { ...pending, nics: [lan] } })).toMatchObject({ pending: { reason: 'KvmUnusable' } })
  })

  test('is taken where the broker is of release 0.1 and cannot be asked', async () => {
    const { book, world } = granting(aGrant([lan]))
    world.refusal = new BrokerRefusal('BadRequest', 'Invalid discriminator value')
    const status = await book.prepare(waiting)
    expect(status).not.toHaveProperty('pending')
    expect(status).toHaveProperty('pendingAccepted', true)
  })
})

describe('an edit that mends a VM', () => {
  const broken = { ...order, accelerator: 'kvm', nics: [lan] } as const satisfies PrepareOrder

  test('is checked if the current accelerator of the VM no longer works', async () => {
    const { book } = granting(aGrant([lan], { accelerator: 'kvm' }))
    const status = await book.prepare({ ...broken, pending: { accelerator: 'auto', nics: [lan] } })
    expect(status).toMatchObject({ state: 'failed', reason: 'KvmUnusable', pendingAccepted: true })
  })

  test('is reported if it cannot be granted either', async () => {
    const { book } = granting(aGrant([lan], { accelerator: 'kvm' }))
    const status = await book.prepare({ ...broken, pending: { accelerator: 'kvm', nics: [dmz] } })
    expect(status).toMatchObject({ state: 'failed', pending: { reason: 'KvmUnusable' } })
    expect(status).not.toHaveProperty('pendingAccepted')
  })
})

describe('what a VM is started with', () => {
  test('keeps an unreadable grant instead of replacing it', async () => {
    const { book, world } = granting(aGrant([lan]))
    world.unreadable = new StateError('Io', 'EIO: i/o error, read')
    await expect(book.prepare({ ...order, nics: [dmz] })).rejects.toThrow('EIO')
    expect(world.held).toEqual(aGrant([lan]))
  })

  test('is granted also while an edit of its disks is refused', async () => {
    const refused = { state: 'failed', reason: 'ImageChangeRefused', message: '' } as const
    const { book, world } = granting(aGrant([lan]), refused)
    expect(await book.prepare({ ...order, nics: [dmz] })).toEqual(refused)
    expect(world.held?.nics).toEqual([dmz])
  })

  test('is not granted to a VM that never had its disks', async () => {
    const { book, world } = granting(undefined, { state: 'preparing', reason: 'CopyingImage', message: '' })
    await book.prepare({ ...order, nics: [lan] })
    expect(world.held).toBeUndefined()
  })

  test('keeps the names of networks that a runner may still have', async () => {
    const { book, world } = granting(aGrant([lan]))
    await book.prepare({ ...order, nics: [dmz] })
    expect(world.held).toEqual(aGrant([dmz], { formerNics: [lan] }))
    await book.prepare({ ...order, nics: [dmz] })
    expect(world.held).toEqual(aGrant([dmz], { formerNics: [lan] }))
    await book.prepare({ ...order, nics: [lan] })
    expect(world.held).toEqual(aGrant([lan], { formerNics: [dmz] }))
  })
})
