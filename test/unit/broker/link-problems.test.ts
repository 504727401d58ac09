import { expect, test } from 'vitest'
import { linkProblem } from '../../../src/broker/link-problems.ts'
import { aMac } from '../../support/branded.ts'

const nic = { name: 'lan', tap: 'sv0123456789ab', bridge: 'br0', mac: aMac('52:54:00:00:00:01'), mtu: 1_500 }
const bridgeWith = (ports: Readonly<Record<string, number>>) => ({
  device: () => undefined,
  ports: () => Object.keys(ports),
  mtu: (name: string) => ports[name],
})

test('a port of the bridge with a smaller MTU than the guest uses is named, with both remedies', () => {
  const problem = linkProblem(bridgeWith({ sv0123456789ab: 1_500, eth0: 1_400 }), nic)
  expect(problem).toMatchObject({ reason: 'PortMtuTooSmall' })
  for (const part of ['eth0, a port of br0, has MTU 1400', 'mtu: 1400 on network lan', 'ip link set eth0 mtu 1500'])
    expect(problem?.message).toContain(part)
})

const direct = { ...nic, bridge: 'eth1', token: true as const, direct: { link: 'sm0123456789ab', mode: 'bridge' as const } }
const eth1 = { name: 'eth1', mtu: 1_500, carrier: true, up: true, address: null, problem: '' }
const deviceOf = (changes: Partial<typeof eth1> | undefined, mtu = 1_500) => ({
  ports: () => [],
  mtu: () => mtu,
  device: () => changes && { ...eth1, ...changes },
})

test.each([
  [undefined, 1_500, 'DeviceUnusable', 'eth1, the device of network lan, is gone'],
  [{ up: false }, 1_500, 'DeviceUnusable', 'ip link set eth1 up'],
  [{ carrier: false }, 1_500, 'DeviceUnusable', 'no carrier'],
  [{}, 1_300, 'PortMtuTooSmall', 'has MTU 1300, and the guest sends up to 1500'],
])('the device of a direct NIC as %j with MTU %d is a problem: %s', (changes, mtu, reason, message) => {
  expect(linkProblem(deviceOf(changes, mtu), direct)).toMatchObject({ reason, message: expect.stringContaining(message) as string })
  expect(linkProblem(deviceOf({}), direct)).toBeUndefined()
})

test('ports with a sufficient MTU and TAPs of other VMs are no problem', () => {
  expect(linkProblem(bridgeWith({ eth0: 1_500, svaaaaaaaaaaaa: 1_000 }), nic)).toBeUndefined()
  expect(linkProblem(bridgeWith({ eth0: 1_400 }), { ...nic, mtu: 1_400 })).toBeUndefined()
})
