/** Ethernet frames as guests and servers send them, forged ones among them. */

const bytes = (hex: string): Buffer => Buffer.from(hex.replaceAll(/[^0-9a-f]/g, ''), 'hex')
const ipBytes = (ip: string): Buffer => Buffer.from(ip.split('.').map(Number))
const everybody = 'ff:ff:ff:ff:ff:ff'

export interface ArpParts {
  readonly from: string
  /** The claimed sender of the ARP; `from` by default. */
  readonly sender?: string
  readonly senderIp: string
  readonly targetIp?: string
  readonly operation?: 'request' | 'reply'
  readonly to?: string
}

export function arp(parts: ArpParts): Buffer {
  const operation = parts.operation === 'reply' ? '0002' : '0001'
  return Buffer.concat([
    bytes(`${parts.to ?? everybody}${parts.from}0806000108000604${operation}${parts.sender ?? parts.from}`),
    ipBytes(parts.senderIp),
    bytes(parts.operation === 'reply' ? parts.from : '000000000000'),
    ipBytes(parts.targetIp ?? '192.168.77.1'),
  ])
}

export interface DhcpParts {
  /** Source of the frame. */
  readonly from: string
  readonly client: string
  readonly xid: number
  readonly ip: string
  readonly to?: string
}

/** As busybox's udhcpc sends it for a new lease. */
export function dhcpRequest({ from, client, xid, ip, to = everybody }: DhcpParts): Buffer {
  const options = Buffer.concat([Buffer.from([53, 1, 3, 50, 4]), ipBytes(ip), Buffer.from([255])])
  return udp({ from, to, source: '0.0.0.0', target: '255.255.255.255', ports: [68, 67], payload: dhcp(1, client, xid, '0.0.0.0', options) })
}

export function dhcpAck({ from, client, xid, ip, to = everybody }: DhcpParts): Buffer {
  const payload = dhcp(2, client, xid, ip, Buffer.from([53, 1, 5, 255]))
  return udp({ from, to, source: '192.168.77.1', target: '255.255.255.255', ports: [67, 68], payload })
}

function dhcp(operation: number, client: string, xid: number, yourIp: string, options: Buffer): Buffer {
  const fixed = Buffer.alloc(240)
  fixed.set([operation, 1, 6])
  fixed.writeUInt32BE(xid, 4)
  fixed.set(ipBytes(yourIp), 16)
  fixed.set(bytes(client), 28)
  fixed.set([0x63, 0x82, 0x53, 0x63], 236)
  return Buffer.concat([fixed, options])
}

interface UdpParts {
  readonly from: string
  readonly to: string
  readonly source: string
  readonly target: string
  readonly ports: readonly [from: number, to: number]
  readonly payload: Buffer
}

export function udp({ from, to, source, target, ports, payload }: UdpParts): Buffer {
  const header = Buffer.alloc(20)
  header.set([0x45, 0])
  header.writeUInt16BE(28 + payload.length, 2)
  header.set([64, 17], 8)
  header.set([...ipBytes(source), ...ipBytes(target)], 12)
  // br_netfilter drops what has a wrong checksum. UDP's own may be left out.
  header.writeUInt16BE(internetChecksum(header), 10)
  const head = Buffer.alloc(8)
  for (const [at, value] of [...ports, 8 + payload.length].entries()) head.writeUInt16BE(value, at * 2)
  return Buffer.concat([bytes(`${to}${from}0800`), header, head, payload])
}

/** The same frame with VLAN tags, the outer one first: `8100` or `88a8` and the VID. */
export function withTags(frame: Buffer, tags: readonly (readonly [type: string, vid: number])[]): Buffer {
  const written = tags.map(([type, vid]) => bytes(`${type}${vid.toString(16).padStart(4, '0')}`))
  return Buffer.concat([frame.subarray(0, 12), ...written, frame.subarray(12)])
}

/** As `udp`, over IPv6. */
export function udp6({ from, to, source, target, ports, payload }: UdpParts): Buffer {
  const head = Buffer.alloc(8)
  for (const [at, value] of [...ports, 8 + payload.length].entries()) head.writeUInt16BE(value, at * 2)
  const addresses = Buffer.concat([ip6Bytes(source), ip6Bytes(target)])
  const pseudo = Buffer.concat([
    addresses,
    Buffer.from([0, 0, 0, head.readUInt16BE(4), 0, 0, 0, 17]),
    head,
    payload,
    Buffer.alloc(payload.length % 2),
  ])
  head.writeUInt16BE(internetChecksum(pseudo) || 0xffff, 6)
  const header = Buffer.from([0x60, 0, 0, 0, 0, head.readUInt16BE(4), 17, 64])
  return Buffer.concat([bytes(`${to}${from}86dd`), header, addresses, head, payload])
}

/** A link-local address as the kernel writes it: fe80:: and four groups. */
function ip6Bytes(ip: string): Buffer {
  const groups = ip.replace('fe80::', '').split(':')
  return Buffer.concat([bytes('fe80000000000000'), ...groups.map((group) => bytes(group.padStart(4, '0')))])
}

function internetChecksum(header: Buffer): number {
  let sum = 0
  for (let at = 0; at < header.length; at += 2) sum += header.readUInt16BE(at)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return ~sum & 0xffff
}
