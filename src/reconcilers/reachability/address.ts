import type { Mac } from '../../api/mac.ts'
import type { Sighting } from '../../api/wire/broker-admin.ts'

/**
 * The address of a MAC: the lease that a DHCP server acknowledged last, or else the address that the MAC announced last. Ignores 0.0.0.0
 * and link-local addresses (169.254/16, RFC 3927).
 */
export function pickAddress(sightings: readonly Sighting[], mac: Mac | undefined): Sighting | undefined {
  const usable = sightings.filter((one) => one.mac === mac && one.ip !== '0.0.0.0' && !one.ip.startsWith('169.254.'))
  const newestFirst = usable.toSorted((a, b) => a.ageMs - b.ageMs || (a.ip < b.ip ? -1 : 1))
  return newestFirst.find((one) => one.via === 'dhcp') ?? newestFirst[0]
}

/** RFC 3339. An absolute time, since an age would change at every reconcile. */
export function seenAt(ageMs: number, nowMs: number): string {
  return `${new Date(nowMs - ageMs).toISOString().slice(0, 'yyyy-mm-ddThh:mm:ss'.length)}Z`
}
