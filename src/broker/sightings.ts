import { parseArp, parseDhcpAck, parseDhcpRequest } from '../api/packets.ts'
import type { Sighting } from '../api/wire/broker-admin.ts'

/**
 * Which address each VM has, by what passed its own TAP (ADR 0024).
 *
 * *Guarantees*: a frame of another guest or of the LAN never makes an entry. ARP counts when the VM sent it. A DHCP ACK counts when it answers a
 * REQUEST that the VM sent: the same transaction, the same MAC and the address that the VM asked for.
 * *Caveats*: a VM can lie about itself.
 */

/** A VM with more addresses is known by the latest. An entry stays as long as its TAP, since a quiet guest keeps its address. */
const maxHeardPerTap = 16
/** A client waits for the answer to one REQUEST at a time; a renewal may cross a new lease. */
const maxRequestsPerTap = 4
/** An answer is one frame of 64 KiB. */
const maxAnswers = 400

type Heard = { readonly mac: string; readonly ip: string; readonly via: 'arp' | 'dhcp'; readonly atMs: number }
/** `requests`: by transaction id, the address that the VM asked for. Both are in the order of the last frame. */
type TapRecord = { readonly heard: Map<string, Heard>; readonly requests: Map<number, string> }

export interface Sightings {
  /** A frame on the TAP of a NIC with this MAC. `received`: the VM sent it. */
  onTap(tap: string, mac: string, frame: Uint8Array, direction: 'received' | 'sent', nowMs: number): void
  forget(tap: string): void
  of(macs: readonly string[], nowMs: number): Sighting[]
}

export function sightings(): Sightings {
  const taps = new Map<string, TapRecord>()
  const recordOf = (tap: string): TapRecord => {
    const record = taps.get(tap) ?? { heard: new Map<string, Heard>(), requests: new Map<number, string>() }
    taps.set(tap, record)
    return record
  }
  return {
    onTap(tap, mac, frame, direction, nowMs) {
      const record = recordOf(tap)
      if (direction === 'received') noteRequest(record, mac, frame)
      const ip = direction === 'received' ? claimedAddress(frame, mac) : assignedAddress(record, frame, mac)
      if (ip === undefined) return
      const via = direction === 'received' ? 'arp' : 'dhcp'
      putLast(record.heard, `${ip} ${via}`, { mac, ip, via, atMs: nowMs }, maxHeardPerTap)
    },
    forget: (tap) => void taps.delete(tap),
    of(macs, nowMs) {
      const wanted = new Set(macs)
      const found = [...taps].flatMap(([tap, { heard }]) =>
        [...heard.values()].filter((one) => wanted.has(one.mac)).map((one) => sightingOf(one, tap, nowMs)),
      )
      return found.sort((one, other) => one.ageMs - other.ageMs).slice(0, maxAnswers)
    },
  }
}

/** What the VM says of itself. A probe (sender 0.0.0.0) claims nothing yet. */
function claimedAddress(frame: Uint8Array, mac: string): string | undefined {
  const arp = parseArp(frame)
  return arp?.frameSource === mac && arp.senderMac === mac && arp.senderIp !== '0.0.0.0' ? arp.senderIp : undefined
}

function noteRequest({ requests }: TapRecord, mac: string, frame: Uint8Array): void {
  const request = parseDhcpRequest(frame)
  if (request?.frameSource === mac && request.clientMac === mac) putLast(requests, request.xid, request.ip, maxRequestsPerTap)
}

function assignedAddress({ requests }: TapRecord, frame: Uint8Array, mac: string): string | undefined {
  const ack = parseDhcpAck(frame)
  // A transaction id is no secret: the REQUEST is a broadcast. What the VM asked for is, with it, all that a forger can confirm.
  return ack?.clientMac === mac && requests.get(ack.xid) === ack.ip ? ack.ip : undefined
}

/** Deleting first makes the map's order that of the last frame. */
function putLast<Key, Value>(map: Map<Key, Value>, key: Key, value: Value, limit: number): void {
  map.delete(key)
  map.set(key, value)
  const oldest = map.keys().next()
  if (map.size > limit && !oldest.done) map.delete(oldest.value)
}

function sightingOf({ mac, ip, via, atMs }: Heard, tap: string, nowMs: number): Sighting {
  return { mac, ip, via, interface: tap, ageMs: Math.max(0, Math.round(nowMs - atMs)) }
}
