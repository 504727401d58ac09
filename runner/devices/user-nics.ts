import type { Mac } from '../../src/api/mac.ts'
import type { ForwardedPort, LaunchConfig } from '../../src/api/wire/launch.ts'
import type { Forward } from '../../src/ports/port-relay.ts'
import { atSlot } from './pci-slots.ts'

/** One NIC behind QEMU's NAT (libslirp, ADR 0031). */
export interface UserNicInput {
  readonly mac: Mac
  readonly slot: number
  readonly nat: Nat
  readonly forwards: readonly GuestForward[]
}

/** A forward, and the port of the guest at its end. */
export type GuestForward = Forward & { readonly guest: number }

export interface Nat {
  /** With the prefix length. */
  readonly network: string
  /** The guest's gateway. */
  readonly host: string
  readonly dns: string
  /** The address that the guest gets by DHCP. */
  readonly guest: string
}

type StaticNetwork = NonNullable<LaunchConfig['cloudInit']['networks']>[number]

/**
 * By its slot, so that several NICs of a VM have different networks and keep them. A guest with a static address gets the NAT in its own
 * subnet, so that it keeps the address (`fallback: user`).
 */
export function natOf(slot: number, fixed?: StaticNetwork): Nat {
  const own = { network: `10.0.${slot}.0/24`, host: `10.0.${slot}.2`, dns: `10.0.${slot}.3`, guest: `10.0.${slot}.15` }
  return (fixed && natAround(fixed)) ?? own
}

/** The smallest subnet with room for gateway, DNS server and guest. */
const longestPrefix = 29

/** Undefined if the subnet is too small. */
function natAround({ address, gateway }: StaticNetwork): Nat | undefined {
  const [guest = '', bits = ''] = address.split('/')
  if (Number(bits) > longestPrefix) return undefined
  const size = 2 ** (32 - Number(bits))
  const first = Math.floor(numberOf(guest) / size) * size
  const free = [1, 2, 3].map((offset) => textOf(first + offset)).filter((one) => one !== guest && one !== gateway)
  const [host = '', dns = ''] = gateway === undefined ? free : [gateway, ...free]
  return { network: `${textOf(first)}/${bits}`, host, dns, guest }
}

function numberOf(address: string): number {
  return address.split('.').reduce((sum, octet) => sum * 256 + Number(octet), 0)
}

function textOf(address: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join('.')
}

/** Below the range that the kernel gives to outgoing connections. */
const firstLoopbackPort = 20_000

/** The forwards of all user NICs. The relay listens on the guest's number, which the manifest has once for each protocol. */
export function forwardsOf(nics: readonly { readonly ports: readonly ForwardedPort[] }[]): readonly (readonly GuestForward[])[] {
  const taken = new Set(nics.flatMap(({ ports }) => ports.map(({ guest }) => guest)))
  let next = firstLoopbackPort
  const free = (): number => {
    while (taken.has(next)) next += 1
    next += 1
    return next - 1
  }
  return nics.map(({ ports }) => ports.map(({ guest, protocol }) => ({ protocol, port: guest, toPort: free(), guest })))
}

/** QEMU listens on the loopback address only: from there the guest sees its gateway as the sender. */
export function userNicArguments({ mac, slot, nat, forwards }: UserNicInput, index: number): string[] {
  const netdev = {
    type: 'user',
    id: `nic${index}`,
    ipv6: false,
    net: nat.network,
    host: nat.host,
    dns: nat.dns,
    dhcpstart: nat.guest,
    hostfwd: forwards.map(({ protocol, toPort, guest }) => ({ str: `${protocol}:127.0.0.1:${toPort}-${nat.guest}:${guest}` })),
  }
  const device = { driver: 'virtio-net-pci', id: `nic${index}-device`, netdev: `nic${index}`, mac, romfile: '', ...atSlot(slot) }
  return ['-netdev', JSON.stringify(netdev), '-device', JSON.stringify(device)]
}
