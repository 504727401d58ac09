import { at, type ManifestIssue, type ManifestPath } from './issue.ts'

/** A network and its broadcast address are no hosts, except in the subnets of two and of one address (RFC 3021). */
const longestWithBroadcast = 30

/** Checks a static address against its subnet and its gateway. The schema reports values that are no addresses at all. */
export function wrongStaticAddress(place: ManifestPath, network: unknown): ManifestIssue[] {
  const [address = '', length = ''] = textAt(network, 'address').split('/')
  const host = ipv4Number(address)
  const bits = Number(length)
  if (host === undefined || length === '' || !(bits >= 1 && bits <= 32)) return []
  const size = 2 ** (32 - bits)
  const first = Math.floor(host / size) * size
  const path = [...place, 'ipv4']
  const isHost = bits > longestWithBroadcast || (host !== first && host !== first + size - 1)
  if (!isHost)
    return [
      {
        code: 'VM010',
        path: [...path, 'address'],
        message: `"${address}/${length}" is the network or the broadcast address of its subnet`,
      },
    ]
  const gateway = ipv4Number(textAt(network, 'gateway'))
  if (gateway === undefined) return []
  if (gateway === host) return [{ code: 'VM013', path: [...path, 'gateway'], message: 'gateway and address are the same' }]
  const isReachable = gateway >= first && gateway < first + size
  return isReachable
    ? []
    : [{ code: 'VM013', path: [...path, 'gateway'], message: `the gateway is not in the subnet of ${address}/${length}` }]
}

function textAt(network: unknown, key: string): string {
  const value = at(network, ['ipv4', key])
  return typeof value === 'string' ? value : ''
}

/** Undefined if the text is no IPv4 address. */
function ipv4Number(text: string): number | undefined {
  const octets = text.split('.').map((octet) => (/^\d{1,3}$/.test(octet) ? Number(octet) : 256))
  if (octets.length !== 4 || octets.some((octet) => octet > 255)) return undefined
  return octets.reduce((sum, octet) => sum * 256 + octet, 0)
}
