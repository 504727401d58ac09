import { expect, test } from 'vitest'
import { orders } from '../../../src/agent/orders.ts'
import type { PrepareOrder } from '../../../src/api/wire/agent-api.ts'
import { orderMark } from '../../../src/api/wire/unchanged.ts'

const uid = '6f1b3a52-3c1d-4a89-9a53-0f6f4f1f9c11'
const order: PrepareOrder = {
  version: 1,
  uid,
  vm: 'web-1',
  cluster: 'lab',
  disks: [{ name: 'root', sizeBytes: 1, image: { source: 'images/tiny.qcow2', sha256: null } }],
  disksMustExist: false,
  accelerator: 'auto',
  softwareEmulation: true,
  nics: [],
}

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
    grants: { revoke: async () => undefined } as never,
    broker: unused,
    prober: unused,
  })
  return { book, carriedOut }
}

test('the last order is carried out again for who knows it', async () => {
  const { book, carriedOut } = aBook()
  await book.prepare(order)
  expect(await book.repeat(uid, orderMark(order))).toMatchObject({ state: 'preparing' })
  expect(carriedOut).toEqual([order, order])
})

test('an order that another one followed is not carried out again', async () => {
  const { book, carriedOut } = aBook()
  await book.prepare(order)
  await book.prepare({ ...order, accelerator: 'tcg' })
  expect(await book.repeat(uid, orderMark(order))).toBeUndefined()
  expect(carriedOut).toHaveLength(2)
})

test('an order that was revoked, or that this agent never had, is not carried out again', async () => {
  const { book, carriedOut } = aBook()
  expect(await book.repeat(uid, orderMark(order))).toBeUndefined()
  await book.prepare(order)
  await book.revoke(uid)
  expect(await book.repeat(uid, orderMark(order))).toBeUndefined()
  expect(carriedOut).toHaveLength(1)
})
