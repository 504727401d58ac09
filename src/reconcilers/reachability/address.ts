import type { Mac } from '../../api/mac.ts'
import { hostOf } from '../../api/manifest/lan-claims.ts'
import type { VirtualMachine } from '../../api/manifest.ts'
import type { Sighting } from '../../api/wire/broker-admin.ts'
import type { LaunchConfig } from '../../api/wire/launch.ts'

/**
 * The address of a MAC: the lease that a DHCP server acknowledged last, or else the address that the MAC announced last. Ignores 0.0.0.0
 * and link-local addresses (169.254/16, RFC 3927).
 */
export function pickAddress(sightings: readonly Sighting[], mac: Mac | undefined): Sighting | undefined {
  const usable = sightings.filter((one) => one.mac === mac && one.ip !== '0.0.0.0' && !one.ip.startsWith('169.254.'))
  const newestFirst = usable.toSorted((a, b) => a.ageMs - b.ageMs || (a.ip < b.ip ? -1 : 1))
  return newestFirst.find((one) => one.via === 'dhcp') ?? newestFirst[0]
}

/** The address that a NIC must have: the static one that the guest was started with, or the one that the manifest expects from DHCP. */
export interface ExpectedAddress {
  readonly ip: string
  readonly from: 'dhcp' | 'ipv4'
}

/** By network. An edit of `ipv4` counts once the VM was started with it. */
export function expectedAddresses({ spec }: VirtualMachine, launch: LaunchConfig | undefined): ReadonlyMap<string, ExpectedAddress> {
  const fixed =
    launch === undefined ? spec.networks.flatMap(({ name, ipv4 }) => (ipv4 ? [{ name, ...ipv4 }] : [])) : launch.cloudInit.networks
  const reserved = spec.networks.flatMap(({ name, address }) =>
    address === undefined ? [] : [[name, { ip: address, from: 'dhcp' }] as const],
  )
  return new Map<string, ExpectedAddress>([
    ...reserved,
    ...(fixed ?? []).map(({ name, address }) => [name, { ip: hostOf(address), from: 'ipv4' }] as const),
  ])
}

/** RFC 3339. An absolute time, since an age would change at every reconcile. */
export function seenAt(ageMs: number, nowMs: number): string {
  return `${new Date(nowMs - ageMs).toISOString().slice(0, 'yyyy-mm-ddThh:mm:ss'.length)}Z`
}
