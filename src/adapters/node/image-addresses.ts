import { type LookupAddress, promises as dns } from 'node:dns'
import { BlockList, isIP, type LookupFunction } from 'node:net'
import { networkInterfaces } from 'node:os'
import type { ImageHost } from '../../api/image-hosts.ts'
import { globalIpv6, notPublicIpv4, notPublicIpv6, type Subnet } from '../../api/special-addresses.ts'
import { ArrivalError } from '../../ports/image-arrivals.ts'
import { networkFailure } from './network-failure.ts'

export interface ImageAddresses {
  /**
   * Resolves the host of a URL and checks its addresses. The connection uses this result, so that a second lookup cannot lead elsewhere. `refused`
   * are the cluster's own public addresses. Throws ArrivalError `HostRefused`, with the same message for every refused address, or `Network`.
   */
  lookupOf(url: URL, refused: readonly string[]): Promise<LookupFunction>
}

export interface ImageAddressesOptions {
  readonly allowed: readonly ImageHost[]
  /** Set only by tests. */
  readonly ownSubnets?: () => readonly Subnet[]
  readonly resolve?: (name: string) => Promise<LookupAddress[]>
}

export function imageAddresses({
  allowed,
  ownSubnets = subnetsOfThisHost,
  resolve = (name) => dns.lookup(name, { all: true }),
}: ImageAddressesOptions): ImageAddresses {
  return {
    async lookupOf(url, refused) {
      const host = url.hostname.replace(/^\[|\]$/g, '')
      const entries = allowed.filter(({ port }) => port === undefined || port === portOf(url))
      const all = await addressesOf(host, resolve)
      const trusted = entries.some((entry) => entry.host === host)
      const inside = blockList(entries.filter((entry) => isIP(entry.host) > 0).map(({ host: at, prefix }) => [at, prefix ?? bits(at)]))
      const own = blockList([...ownSubnets(), ...refused.filter((one) => isIP(one) > 0).map((one): Subnet => [one, bits(one)])])
      const usable = all.filter((one) => trusted || has(inside, one) || (isPublic(one) && !has(own, one)))
      const [first] = usable
      if (first === undefined) throw refusal(url)
      return (_hostname, options, callback) => (options.all === true ? callback(null, usable) : callback(null, first.address, first.family))
    },
  }
}

/** Does not reveal what the name resolves to, or whether anything listens there. */
function refusal(url: URL): ArrivalError {
  return new ArrivalError(
    'HostRefused',
    `images are not downloaded from ${url.host}: its address is not public, or is the cluster's own. To allow your own mirror, start the agents with --allow-image-host ${url.hostname}`,
  )
}

async function addressesOf(host: string, resolve: (name: string) => Promise<LookupAddress[]>): Promise<LookupAddress[]> {
  const family = isIP(host)
  if (family > 0) return [{ address: host, family }]
  try {
    return await resolve(host)
  } catch (error) {
    throw networkFailure(error)
  }
}

function portOf(url: URL): number {
  return url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port)
}

function isPublic(one: LookupAddress): boolean {
  if (one.family === 4) return !has(blockList(notPublicIpv4), one)
  return has(blockList([globalIpv6]), one) && !has(blockList(notPublicIpv6), one)
}

/** The overlay and the bridge that this task is attached to. */
function subnetsOfThisHost(): readonly Subnet[] {
  return Object.values(networkInterfaces())
    .flat()
    .flatMap((one): Subnet[] => (one?.cidr ? [[one.address, Number(one.cidr.split('/')[1])]] : []))
}

function blockList(subnets: readonly Subnet[]): BlockList {
  const list = new BlockList()
  for (const [address, prefix] of subnets) list.addSubnet(address, prefix, familyOf(address))
  return list
}

function has(list: BlockList, { address }: LookupAddress): boolean {
  // A zone (`fe80::1%eth0`) is not part of the address.
  const [bare = ''] = address.split('%')
  return isIP(bare) > 0 && list.check(bare, familyOf(bare))
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 6 ? 'ipv6' : 'ipv4'
}

function bits(address: string): number {
  return isIP(address) === 6 ? 128 : 32
}
