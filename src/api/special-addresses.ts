export type Subnet = readonly [address: string, prefix: number]

/**
 * All addresses that are not globally reachable: IANA's special-purpose address registries, and multicast. This includes loopback,
 * link-local and private addresses.
 */
export const notPublicIpv4: readonly Subnet[] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
]

/** Takes an IPv4 address in dotted form. */
export function isPublicIpv4(address: string): boolean {
  return !notPublicIpv4.some(([base, prefix]) => asNumber(base) >>> (32 - prefix) === asNumber(address) >>> (32 - prefix))
}

function asNumber(address: string): number {
  return address.split('.').reduce((sum, byte) => sum * 256 + Number(byte), 0)
}

/** The only global unicast space of IPv6. */
export const globalIpv6: Subnet = ['2000::', 3]

/** Exceptions in that space; some of them contain an IPv4 address (Teredo, 6to4). */
export const notPublicIpv6: readonly Subnet[] = [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
]
