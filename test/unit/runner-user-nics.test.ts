import { expect, test } from 'vitest'
import { forwardsOf, natOf, userNicArguments } from '../../runner/devices/user-nics.ts'
import { connectionsTo, guestPortState } from '../../runner/guest-port.ts'
import { aMac } from '../support/branded.ts'
import { settle, virtualClock } from './runner-fakes.ts'

const mac = aMac('52:54:00:12:34:56')
const web = { name: 'web', guest: 80, protocol: 'tcp' } as const
const dns = { name: 'dns', guest: 53, protocol: 'udp' } as const

test('QEMU listens on the loopback address only, with options that are JSON', () => {
  const [forwards = []] = forwardsOf([{ ports: [web, dns] }])
  const [, netdev = '', , device = ''] = userNicArguments({ mac, slot: 4, nat: natOf(4), forwards }, 1)
  expect(JSON.parse(netdev)).toEqual({
    type: 'user',
    id: 'nic1',
    ipv6: false,
    net: '10.0.4.0/24',
    host: '10.0.4.2',
    dns: '10.0.4.3',
    dhcpstart: '10.0.4.15',
    hostfwd: [{ str: 'tcp:127.0.0.1:20000-10.0.4.15:80' }, { str: 'udp:127.0.0.1:20001-10.0.4.15:53' }],
  })
  expect(JSON.parse(device)).toMatchObject({ driver: 'virtio-net-pci', netdev: 'nic1', mac, addr: '0x4' })
})

test('the NATs of several NICs have different networks and ports, none of which the relay listens on', () => {
  const taken = { name: 'odd', guest: 20_001, protocol: 'udp' } as const
  const all = forwardsOf([{ ports: [web, taken] }, { ports: [dns] }])
  expect(all.map((one) => one.map(({ toPort }) => toPort))).toEqual([[20_000, 20_002], [20_003]])
  expect(new Set([2, 3, 4, 5, 6, 7, 8, 9].map((slot) => natOf(slot).network)).size).toBe(8)
})

test.each([
  [{ address: '192.168.50.42/24', gateway: '192.168.50.1' }, '192.168.50.0/24', '192.168.50.1', '192.168.50.2'],
  [{ address: '192.168.50.1/24' }, '192.168.50.0/24', '192.168.50.2', '192.168.50.3'],
  [{ address: '10.9.0.2/16', gateway: '10.9.255.254' }, '10.9.0.0/16', '10.9.255.254', '10.9.0.1'],
])('a guest with the static address %o keeps it behind NAT', (fixed, network, host, dnsServer) => {
  const guest = fixed.address.replace(/\/.*/, '')
  expect(natOf(3, { name: 'lan', nameservers: [], ...fixed })).toEqual({ network, host, dns: dnsServer, guest })
})

test('a subnet without room for gateway and DNS server is not used', () => {
  expect(natOf(3, { name: 'lan', nameservers: [], address: '10.9.0.1/30' })).toEqual(natOf(3))
})

const table = (...lines: string[]): string => ['VLAN 0 (net0):', '  Protocol[State]    FD  Source Address  Port', ...lines].join('\r\n')
const listener = '  TCP[HOST_FORWARD]   9       127.0.0.1 20000       10.0.2.15    80     0     0'
const line = (state: string, fd: number, port = 20_000): string =>
  `  TCP[${state}]  ${fd}       127.0.0.1 ${port}       10.0.2.15    80     0     0`

test('the table of QEMU is read by port, without its listeners', () => {
  expect(connectionsTo(table(listener, line('SYN_SENT', 14), line('ESTABLISHED', 15, 20_001)), 20_000)).toEqual([
    { fd: '14', state: 'SYN_SENT' },
  ])
})

/** QEMU shows these tables one after the other, and ends the connection at the last one if the guest refuses it. */
async function asked(tables: readonly string[], refuses = false): Promise<string> {
  const clock = virtualClock()
  let seen = 0
  let closed = 0
  const connections = async (): Promise<string> => tables[Math.min(seen++, tables.length - 1)] ?? ''
  const connection = {
    get ended() {
      return refuses && seen >= tables.length
    },
    close: () => void (closed += 1),
  }
  const forward = { protocol: 'tcp', port: 80, guest: 80, toPort: 20_000 } as const
  const state = guestPortState({ clock, connections, portRelay: { connect: async () => connection } }, forward, 1_000)
  await settle()
  await clock.pass(2_000)
  expect(await state).toBeDefined()
  expect(closed).toBe(1)
  return state
}

test.each([
  ['accepts', [table(listener), table(listener, line('SYN_SENT', 14)), table(listener, line('ESTABLISHED', 14))], false],
  ['silent', [table(listener), table(listener, line('SYN_SENT', 14))], false],
  ['refuses', [table(listener), table(listener, line('SYN_SENT', 14)), table(listener)], true],
  // An old connection outlives the server that accepted it.
  ['silent', [table(line('ESTABLISHED', 12)), table(line('ESTABLISHED', 12), line('SYN_SENT', 14))], false],
] as const)('the table of connections shows a guest that %s', async (state, tables, refuses) => {
  expect(await asked(tables, refuses)).toBe(state)
})
