import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { VmView } from '../../src/api/wire/controller-api.ts'
import type { Deployment } from '../lab/deployment.ts'
import { until } from '../lab/run.ts'
import {
  conditionOf,
  containerOf,
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

const name = 'twin'
const lan = { name: 'lan', bridge: 'br0' }
const dmz = { name: 'dmz', bridge: 'br1' }
const narrow = { ...dmz, mtu: 1400, isolated: true, antiSpoof: 'off' }
let deployment: Deployment

beforeAll(async () => {
  deployment = await openE2e()
  deployment.writeManifest(`${name}.yaml`, manifest(name, { networks: [lan, narrow] }))
})

afterAll(() => removeManifests(deployment, [name]))

/** The VM once each of its networks has shown an address. */
async function addressed(networks: number): Promise<VmView> {
  await waitReady(deployment, name)
  return until(`the addresses of ${name}`, 60_000, async () => {
    const vm = await deployment.vm(name)
    return vm?.nics?.filter(({ address }) => address !== undefined).length === networks ? vm : undefined
  })
}

/** By MAC, PCI slot and MTU on the command line of the VM's QEMU. */
async function cards(): Promise<Readonly<Record<string, string>>> {
  const { pid } = await containerOf(deployment.lab, name)
  const qemu = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim()
  const args = readFileSync(`/proc/${qemu}/cmdline`, 'utf8').split('\0')
  const devices = args
    .filter((arg) => arg.includes('virtio-net-pci'))
    .map((arg) => JSON.parse(arg) as { mac: string; addr: string; host_mtu: number })
  return Object.fromEntries(devices.map((one) => [one.mac, `${one.addr} ${one.host_mtu}`]))
}

it('a VM on two bridges has an address on each, and another node reaches both', async () => {
  const { facts, nics } = await addressed(2)
  expect(nics).toMatchObject([
    { ...lan, mac: reservedMac(name, 'lan'), address: expect.stringMatching(/^192\.168\.50\./) as string },
    { ...dmz, mac: reservedMac(name, 'dmz'), address: expect.stringMatching(/^192\.168\.51\./) as string },
  ])
  expect(facts).toMatchObject({ mac: nics?.[0]?.mac, ip: nics?.[0]?.address })
  const from = otherNode(deployment.lab, await nodeOfVm(deployment.lab, name))
  for (const { address = '' } of nics ?? []) expect(await guestPage(deployment.lab, address, from)).toBe(name)
  expect(JSON.parse(await guestPage(deployment.lab, facts['ip'] ?? '', from, '/network-config'))).toMatchObject({ version: 2 })
  expect(await cards()).toEqual({ [reservedMac(name, 'lan')]: '0x2 1500', [reservedMac(name, 'dmz')]: '0x3 1400' })
})

it('the NIC with isolated and antiSpoof: off has an isolated port, and no lock of its MAC', async () => {
  const vm = await waitReady(deployment, name)
  const tap = /(sv\w+) on br1/.exec(conditionOf(vm, 'LinkAttached')?.message ?? '')?.[1] ?? ''
  const node = await nodeOfVm(deployment.lab, name)
  expect((await deployment.lab.exec(node, ['cat', `/sys/class/net/${tap}/brport/isolated`])).stdout.trim()).toBe('1')
  const rules = await deployment.lab.exec(node, ['nft', 'list', 'chain', 'netdev', 'swarmvirt', tap])
  expect(rules.stdout).toContain(`ether saddr != ${reservedMac(name, 'dmz')} continue`)
  expect(conditionOf(vm, 'LinkUnfiltered')).toMatchObject({ status: 'False', reason: 'AntiSpoofOff' })
  expect(conditionOf(vm, 'LinkDegraded')).toMatchObject({ status: 'False', reason: 'Healthy' })
})

it('the second NIC stays in its PCI slot without the first, which gets its own back when it returns', async () => {
  const before = (await deployment.vm(name))?.nics?.[1]
  deployment.writeManifest(`${name}.yaml`, manifest(name, { networks: [narrow], updatePolicy: 'Restart' }))
  await until(`${name} to have one network`, 120_000, async () => ((await deployment.vm(name))?.nics?.length === 1 ? true : undefined))
  const { facts, nics } = await addressed(1)
  expect(nics?.[0]).toMatchObject({ mac: before?.mac, address: before?.address })
  expect(facts['ip']).toBe(before?.address)
  expect(await cards()).toEqual({ [reservedMac(name, 'dmz')]: '0x3 1400' })
  deployment.writeManifest(`${name}.yaml`, manifest(name, { networks: [narrow, lan], updatePolicy: 'Restart' }))
  await until(`${name} to have two networks`, 120_000, async () => ((await deployment.vm(name))?.nics?.length === 2 ? true : undefined))
  await addressed(2)
  expect(await cards()).toEqual({ [reservedMac(name, 'lan')]: '0x2 1500', [reservedMac(name, 'dmz')]: '0x3 1400' })
})

it('a network with a VLAN is refused by every node without VLAN filtering, with the reason', async () => {
  deployment.writeManifest('tagged.yaml', manifest('tagged', { networks: [{ ...lan, vlan: 20 }] }))
  const seen = await waitForCondition(deployment, 'tagged', 'Placed', (one) => one.reason === 'VlanUnavailable')
  const message = conditionOf(seen, 'Placed')?.message
  for (const node of deployment.lab.nodes) expect(message).toContain(`${node.name}: network lan needs VLAN 20 on br0`)
  deployment.removeManifest('tagged.yaml')
  await waitGone(deployment, 'tagged')
})

it('a network that needs a larger MTU than its bridge has is refused by every node, with both numbers', async () => {
  deployment.writeManifest('jumbo.yaml', manifest('jumbo', { networks: [{ ...lan, mtu: 9000 }] }))
  const seen = await waitForCondition(deployment, 'jumbo', 'Placed', (one) => one.reason === 'BridgeMtuTooSmall')
  const message = conditionOf(seen, 'Placed')?.message
  for (const node of deployment.lab.nodes) expect(message).toContain(`${node.name}: bridge br0 has MTU 1500, and network lan needs 9000`)
  deployment.removeManifest('jumbo.yaml')
  await waitGone(deployment, 'jumbo')
})
