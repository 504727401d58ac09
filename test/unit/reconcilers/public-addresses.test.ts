import { expect, test } from 'vitest'
import { readNode } from '../../../src/adapters/docker/read.ts'
import { parseVirtualMachine } from '../../../src/api/manifest.ts'
import { prepareOrder } from '../../../src/api/wire/agent-api.ts'
import { prepareOrderFor } from '../../../src/reconcilers/assets/order.ts'
import { withClusterAddresses } from '../../../src/reconcilers/assets/public-addresses.ts'
import type { PlacementRecord } from '../../../src/reconcilers/shared/placement-record.ts'

/** As Docker lists a node, with the fields in use. */
function aNode(status: string, manager?: string) {
  const managerStatus = manager === undefined ? {} : { ManagerStatus: { Leader: true, Addr: manager } }
  return readNode({ ID: 'n', Version: { Index: 1 }, Spec: {}, Description: {}, Status: { State: 'ready', Addr: status }, ...managerStatus })
}

function orderFor(source: string, nodes: readonly ReturnType<typeof aNode>[]) {
  const spec = {
    memory: '128Mi',
    disks: [{ name: 'root', size: '1Gi', image: { source, sha256: 'a'.repeat(64) } }],
    networks: [{ name: 'lan', bridge: 'br0' }],
  }
  const result = parseVirtualMachine({ apiVersion: 'swarmvirt.dev/v1alpha1', kind: 'VirtualMachine', metadata: { name: 'web' }, spec })
  if (!result.ok) throw new Error(JSON.stringify(result.issues))
  const uid = '11111111-1111-4111-8111-111111111111'
  const record = { vm: 'web', uid, node: 'n', disksMade: false } as PlacementRecord
  return withClusterAddresses(prepareOrderFor({ cluster: 'lab', softwareEmulation: true }, result.vm, record, undefined), nodes)
}

test('An order for an image from the network names the public addresses of all nodes, whatever their order', () => {
  const nodes = [
    aNode('10.0.0.1', '8.8.4.4:2377'),
    aNode('8.8.4.4'),
    aNode('2606:4700::1', '[2606:4700::1]:2377'),
    aNode('0.0.0.0'),
    aNode('192.168.1.1', '172.31.255.255:2377'),
  ]
  const order = orderFor('https://images.example/x', nodes)
  expect(order.clusterAddresses).toEqual(['2606:4700::1', '8.8.4.4'])
  expect(orderFor('https://images.example/x', nodes.toReversed())).toEqual(order)
  expect(prepareOrder.parse(order)).toEqual(order)
})

test('Other orders stay as they were when a node joins', () => {
  const nodes = [aNode('10.0.0.1', '10.0.0.1:2377'), aNode('')]
  expect(orderFor('https://images.example/x', nodes)).not.toHaveProperty('clusterAddresses')
  expect(orderFor('images/x', [aNode('8.8.4.4')])).not.toHaveProperty('clusterAddresses')
})
