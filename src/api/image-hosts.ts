/** An entry of `--allow-image-host`: a host name, an address or a subnet, and a port if only one is allowed. */
export interface ImageHost {
  /** A name in lower case, or an IPv4 or IPv6 address without brackets. */
  readonly host: string
  /** Length of the subnet's prefix; undefined for a single address or a name. */
  readonly prefix: number | undefined
  readonly port: number | undefined
}

const subnet = /^(?<host>[0-9a-f.:]+)\/(?<prefix>\d{1,3})$/
const bracketed = /^\[(?<host>[0-9a-f:.]+)\](?::(?<port>\d{1,5}))?$/
const plain = /^(?<host>[a-z0-9._-]+)(?::(?<port>\d{1,5}))?$/
const bareIpv6 = /^(?<host>[0-9a-f.]*:[0-9a-f.]*:[0-9a-f:.]*)$/

/** Reads `mirror.lan`, `mirror.lan:8080`, `10.0.0.5`, `10.0.0.0/24` or `[fd00::5]:8080`. Returns undefined for anything else. */
export function parseImageHost(entry: string): ImageHost | undefined {
  const text = entry.trim().toLowerCase()
  const groups = [subnet, bracketed, plain, bareIpv6].map((form) => form.exec(text)?.groups).find((found) => found !== undefined)
  if (groups?.['host'] === undefined) return undefined
  const { host, prefix, port } = groups
  const parsed = { host, prefix: numberOf(prefix), port: numberOf(port) }
  const tooLong = (parsed.prefix ?? 0) > (host.includes(':') ? 128 : 32)
  return tooLong || (parsed.port !== undefined && (parsed.port < 1 || parsed.port > 65_535)) ? undefined : parsed
}

function numberOf(digits: string | undefined): number | undefined {
  return digits === undefined ? undefined : Number(digits)
}
