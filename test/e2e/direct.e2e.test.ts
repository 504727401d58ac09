import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Deployment } from '../lab/deployment.ts'
import type { NodeName } from '../lab/lab.ts'
import { until } from '../lab/run.ts'
import {
  conditionOf,
  guestPage,
  manifest,
  nodeOfVm,
  openE2e,
  otherNode,
  removeManifests,
  reservedMac,
  waitForCondition,
  waitGone,
  waitReady,
} from './support.ts'

const name = 'direct'
const wan = { name: 'wan', direct: { device: 'eth1' } }
let deployment: Deployment

/** The agent can probe TCP only where its node has an address, and `eth1` has none. */
function withoutReadiness(vm: string, networks: readonly object[]): string {
  const document = JSON.parse(manifest(vm, { networks })) as { spec: { readiness?: object } }
  delete document.spec.readiness
  return JSON.stringify(document)
}

beforeAll(async () => {
  deployment = await openE2e()
  deployment.writeManifest(`${name}.yaml`, withoutReadiness(name, [wan, { name: 'dmz', bridge: 'br1' }]))
})

afterAll(() => removeManifests(deployment, [name]))

/** The macvtaps of a node, with the recorded identity. */
async function macvtaps(node: NodeName): Promise<readonly { ifname: string; address: string; link: string; ifalias?: string }[]> {
  const { stdout } = await deployment.lab.exec(node, ['ip', '-d', '-j', 'link', 'show', 'type', 'macvtap'])
  return JSON.parse(stdout || '[]') as { ifname: string; address: string; link: string; ifalias?: string }[]
}

it('a VM with a direct NIC beside a bridged one gets a DHCP lease through macvtap, and another node reaches it', async () => {
  const vm = await waitReady(deployment, name)
  expect(vm.nics?.[0]).toMatchObject({ name: 'wan', bridge: 'eth1', kind: 'direct', mac: reservedMac(name, 'wan') })
  expect(vm.facts['ip']).toMatch(/^192\.168\.50\./)
  const node = await nodeOfVm(deployment.lab, name)
  expect(await guestPage(deployment.lab, vm.facts['ip'] ?? '', otherNode(deployment.lab, node))).toBe(name)
  expect(conditionOf(vm, 'LinkAttached')?.message).toMatch(/directly on eth1 \(mode bridge; the node itself cannot reach the guest/)
  expect(conditionOf(vm, 'Reachable')).toMatchObject({ status: 'True', message: expect.stringContaining('over eth1') as string })
  expect(conditionOf(vm, 'LinkUnfiltered')).toMatchObject({ status: 'False', reason: 'Filtered' })
  const alias = `swarmvirt ${vm.facts['uid']} wan`
  expect(await macvtaps(node)).toMatchObject([{ address: reservedMac(name, 'wan'), link: 'eth1', ifalias: alias }])
})

it('the VM keeps its NIC when the broker of its node restarts', async () => {
  const node = await nodeOfVm(deployment.lab, name)
  await deployment.lab.mustDocker(node, ['kill', 'swarmvirt-broker'])
  await deployment.lab.mustDocker(node, ['start', 'swarmvirt-broker'])
  const vm = await waitReady(deployment, name)
  expect(await guestPage(deployment.lab, vm.facts['ip'] ?? '', otherNode(deployment.lab, node))).toBe(name)
})

it('a device that no broker allows is refused by every node, with the options that allow it', async () => {
  deployment.writeManifest('other-device.yaml', withoutReadiness('other-device', [{ name: 'wan', direct: { device: 'eth9' } }]))
  const seen = await waitForCondition(deployment, 'other-device', 'Placed', (one) => one.reason === 'DeviceNotAllowed')
  const message = conditionOf(seen, 'Placed')?.message
  for (const node of deployment.lab.nodes) expect(message).toContain(`${node.name}: device eth9 is missing or not allowed`)
  expect(message).toContain('it allows eth1')
  deployment.removeManifest('other-device.yaml')
  await waitGone(deployment, 'other-device')
})

it('the macvtap goes when the VM goes', async () => {
  const node = await nodeOfVm(deployment.lab, name)
  deployment.removeManifest(`${name}.yaml`)
  await waitGone(deployment, name)
  await until('the macvtap to be removed', 30_000, async () => ((await macvtaps(node)).length === 0 ? true : undefined))
})
