import { type Mac, macOf } from './mac.ts'

/** Ethernet frames: ARP (RFC 826), DHCP over IPv4 (RFC 2131) and ICMP echo (RFC 792). Every reader accepts any bytes and never throws. */

export interface ArpPacket {
  readonly operation: 'request' | 'reply'
  /** The source MAC of the Ethernet frame. */
  readonly frameSource: Mac
  readonly senderMac: Mac
  readonly senderIp: string
  readonly targetIp: string
}

const etherTypeArp = 0x0806
const etherTypeIpv4 = 0x0800
const ethernetBytes = 14
const arpFrameBytes = ethernetBytes + 28

export function parseArp(frame: Uint8Array): ArpPacket | undefined {
  if (frame.length < arpFrameBytes || word(frame, 12) !== etherTypeArp) return undefined
  // Hardware type Ethernet, protocol type IPv4, addresses of six and four bytes.
  if (word(frame, 14) !== 1 || word(frame, 16) !== etherTypeIpv4 || word(frame, 18) !== 0x0604) return undefined
  const operation = word(frame, 20)
  if (operation !== 1 && operation !== 2) return undefined
  return {
    operation: operation === 1 ? 'request' : 'reply',
    frameSource: macAt(frame, 6),
    senderMac: macAt(frame, 22),
    senderIp: ipAt(frame, 28),
    targetIp: ipAt(frame, 38),
  }
}

/** An RFC 5227 probe: sender address 0.0.0.0, sent to the broadcast address. */
export function arpProbe(sourceMac: string, targetIp: string): Uint8Array {
  const frame = new Uint8Array(arpFrameBytes)
  frame.fill(0xff, 0, 6)
  frame.set(macBytes(sourceMac), 6)
  frame.set([0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1], 12)
  frame.set(macBytes(sourceMac), 22)
  frame.set(ipBytes(targetIp), 38)
  return frame
}

export interface DhcpRequest {
  /** The source MAC of the Ethernet frame. */
  readonly frameSource: Mac
  readonly clientMac: Mac
  /** The client's transaction id, which the server repeats. */
  readonly xid: number
  /** The address that the client requests. */
  readonly ip: string
}

export interface DhcpAck {
  readonly clientMac: Mac
  readonly xid: number
  readonly ip: string
}

const dhcpServerPort = 67
const dhcpClientPort = 68
const bootRequest = 1
const bootReply = 2
const dhcpFixedBytes = 240
const dhcpMagic = 0x6382_5363
const optionRequestedAddress = 50
const optionMessageType = 53
const messageTypeRequest = 3
const messageTypeAck = 5

/** A client's REQUEST: a new lease names its address in option 50, a renewal in `ciaddr` (RFC 2131, 4.3.2). */
export function parseDhcpRequest(frame: Uint8Array): DhcpRequest | undefined {
  const dhcp = dhcpMessage(frame, dhcpClientPort, bootRequest, messageTypeRequest)
  if (dhcp === undefined) return undefined
  const requested = option(dhcp, optionRequestedAddress)
  const ip = requested?.length === 4 ? ipAt(requested, 0) : ipAt(dhcp, 12)
  return ip === '0.0.0.0' ? undefined : { frameSource: macAt(frame, 6), clientMac: macAt(dhcp, 28), xid: doubleWord(dhcp, 4), ip }
}

/** A server's ACK that assigns an address. An ACK to an INFORM assigns none. */
export function parseDhcpAck(frame: Uint8Array): DhcpAck | undefined {
  const dhcp = dhcpMessage(frame, dhcpServerPort, bootReply, messageTypeAck)
  if (dhcp === undefined) return undefined
  const ip = ipAt(dhcp, 16)
  return ip === '0.0.0.0' ? undefined : { clientMac: macAt(dhcp, 28), xid: doubleWord(dhcp, 4), ip }
}

/** Ethernet, with hardware addresses of six bytes. */
function dhcpMessage(frame: Uint8Array, sourcePort: number, operation: number, type: number): Uint8Array | undefined {
  const dhcp = udpFrom(frame, sourcePort)
  if (dhcp === undefined || dhcp.length < dhcpFixedBytes) return undefined
  if (dhcp[0] !== operation || dhcp[1] !== 1 || dhcp[2] !== 6 || doubleWord(dhcp, 236) !== dhcpMagic) return undefined
  const messageType = option(dhcp, optionMessageType)
  return messageType?.length === 1 && messageType[0] === type ? dhcp : undefined
}

function udpFrom(frame: Uint8Array, sourcePort: number): Uint8Array | undefined {
  if (frame.length < ethernetBytes + 28 || word(frame, 12) !== etherTypeIpv4) return undefined
  const headerBytes = ((frame[14] ?? 0) & 0xf) * 4
  const fragment = word(frame, 20) & 0x3fff
  if ((frame[14] ?? 0) >> 4 !== 4 || headerBytes < 20 || frame[23] !== 17 || fragment !== 0) return undefined
  const udp = ethernetBytes + headerBytes
  if (frame.length < udp + 8 || word(frame, udp) !== sourcePort) return undefined
  const udpBytes = word(frame, udp + 4)
  return udpBytes < 8 ? undefined : frame.subarray(udp + 8, Math.min(frame.length, udp + udpBytes))
}

/** The complete first option with this code; undefined if there is none. */
function option(dhcp: Uint8Array, code: number): Uint8Array | undefined {
  for (let at = dhcpFixedBytes; at < dhcp.length; ) {
    if (dhcp[at] === 255) return undefined
    if (dhcp[at] === 0) {
      at += 1
      continue
    }
    const length = dhcp[at + 1]
    if (length === undefined || at + 2 + length > dhcp.length) return undefined
    if (dhcp[at] === code) return dhcp.subarray(at + 2, at + 2 + length)
    at += 2 + length
  }
  return undefined
}

/** An ICMP message without IP header. The reply must contain the `nonce`. */
export function icmpEcho(identifier: number, sequence: number, nonce: Uint8Array): Uint8Array {
  const packet = new Uint8Array(8 + nonce.length)
  packet.set([8, 0, 0, 0, identifier >> 8, identifier & 0xff, sequence >> 8, sequence & 0xff])
  packet.set(nonce, 8)
  const sum = checksum(packet)
  packet.set([sum >> 8, sum & 0xff], 2)
  return packet
}

/** Reads an IPv4 packet from a raw socket. */
export function parseEchoReply(
  packet: Uint8Array,
): { readonly source: string; readonly identifier: number; readonly nonce: Uint8Array } | undefined {
  const headerBytes = ((packet[0] ?? 0) & 0xf) * 4
  if ((packet[0] ?? 0) >> 4 !== 4 || headerBytes < 20 || packet.length < headerBytes + 8 || packet[9] !== 1) return undefined
  if (packet[headerBytes] !== 0 || packet[headerBytes + 1] !== 0) return undefined
  return { source: ipAt(packet, 12), identifier: word(packet, headerBytes + 4), nonce: packet.subarray(headerBytes + 8) }
}

/** The Internet checksum (RFC 1071). */
function checksum(bytes: Uint8Array): number {
  let sum = 0
  for (let at = 0; at < bytes.length; at += 2) sum += ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return ~sum & 0xffff
}

function word(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)
}

function doubleWord(bytes: Uint8Array, at: number): number {
  return word(bytes, at) * 0x1_0000 + word(bytes, at + 2)
}

function macAt(bytes: Uint8Array, at: number): Mac {
  return macOf(bytes.subarray(at, at + 6))
}

function ipAt(bytes: Uint8Array, at: number): string {
  return bytes.subarray(at, at + 4).join('.')
}

export function macBytes(mac: string): number[] {
  return mac.split(':').map((part) => Number.parseInt(part, 16))
}

export function ipBytes(ip: string): number[] {
  return ip.split('.').map(Number)
}
