import { expect, test } from 'vitest'
import type { PrepareOrder } from '../../../src/api/wire/agent-api.ts'
import { paths, SimulatedNode } from '../../property/crashes/simulated-node.ts'
import { aUid, aVmName } from '../../support/branded.ts'
import type { VmUid } from '../../../src/api/names.ts'

const first = aUid('11111111-1111-4111-8111-111111111111')
const second = aUid('22222222-2222-4222-8222-222222222222')

async function aNode() {
  const node = new SimulatedNode()
  const image = node.anImage('a', 'payload')
  const agent = await node.boot()
  const order = (uid: VmUid, change: Partial<PrepareOrder> = {}): PrepareOrder => ({
    version: 1,
    uid,
    vm: aVmName('web'),
    cluster: 'lab',
    disks: [{ name: 'root', sizeBytes: 64 * 1024 ** 2, image: { source: image.source, sha256: null } }],
    disksMustExist: false,
    accelerator: 'auto',
    softwareEmulation: true,
    nics: [],
    ...change,
  })
  const prepare = async (...orders: readonly PrepareOrder[]): Promise<readonly (string | undefined)[]> => {
    for (;;) {
      const answers = await Promise.all(orders.map((one) => agent.orders.prepare(one)))
      const isWaiting = answers.some((one) => one.state === 'preparing')
      if (!isWaiting) return answers.map((one) => ('reason' in one ? one.reason : one.state))
      await node.clock.pass(1_000)
    }
  }
  return { node, order, prepare, hasDisk: (uid: VmUid) => node.disk.content(paths.diskFile(uid, 'root')) !== undefined }
}

test('two orders for the same VM with different uids at the same time create one set of disks', async () => {
  const { order, prepare, hasDisk } = await aNode()
  expect(await prepare(order(first), order(second))).toEqual(['ready', 'OtherInstance'])
  expect([hasDisk(first), hasDisk(second)]).toEqual([true, false])
})

test('a VM of the same name in another cluster is another VM', async () => {
  const { order, prepare, hasDisk } = await aNode()
  expect(await prepare(order(first), order(second, { cluster: 'other' }))).toEqual(['ready', 'ready'])
  expect([hasDisk(first), hasDisk(second)]).toEqual([true, true])
})

test('a disk that the ordered uid already has is completed, although the node has the VM under another uid', async () => {
  const { node, order, prepare } = await aNode()
  await prepare(order(first))
  for (const directory of [paths.instance(second), paths.disks(second)]) node.disk.putDirectory(directory, 0o2770)
  node.disk.put(paths.diskFile(second, 'root'), 'data of a guest')
  expect(await prepare(order(second))).toEqual(['ready'])
  expect(node.disk.content(paths.diskFile(second, 'root'))).toBe('data of a guest')
})
