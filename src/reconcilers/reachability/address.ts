import type { Mac } from '../../api/mac.ts'
import type { Sighting } from '../../api/wire/broker-admin.ts'

/**
 * The address a MAC has: the lease a DHCP server last acknowledged, else what the MAC last said of itself. Addresses that a guest only tries
 * or gives itself for want of a server (0.0.0.0, 169.254/16, RFC 3927) are none.
 */
export function pickAddress(sightings: readonly Sighting[], mac: Mac): Sighting | undefined {
  const usable = sightings.filter((one) => one.mac === mac && one.ip !== '0.0.0.0' && !one.ip.startsWith('169.254.'))
  const newestFirst = usable.toSorted((a, b) => a.ageMs - b.ageMs || (a.ip < b.ip ? -1 : 1))
  return newestFirst.find((one) => one.via === 'dhcp') ?? newestFirst[0]
}
