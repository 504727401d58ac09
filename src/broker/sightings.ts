import type { Mac } from '../api/mac.ts'
import { parseArp, parseDhcpAck, parseDhcpRequest } from '../api/packets.ts'
import type { Sighting } from '../api/wire/broker-admin.ts'

/**
 * The addresses of each VM, learned from the frames on its own TAP (ADR 0024).
 *
 * *Guarantees*: a frame of another guest or of the LAN never adds an entry. ARP counts if the VM sent it. A DHCP ACK counts if it answers a REQUEST
 * of the VM: the same transaction, MAC and requested address.
 * *Caveats*: a VM can lie about its own address.
 */

/** A VM with more addresses keeps the latest ones. Entries stay as long as the TAP, since a silent guest keeps its address. */
const maxAddressesPerTap = 16
/** A client has one pending REQUEST at a time, but a renewal may overlap with a new lease. */
const maxRequestsPerTap = 4
/** An answer is one frame of 64 KiB. */
const maxAnswers = 400

type LearnedAddress = { readonly mac: Mac; readonly ip: string; readonly via: 'arp' | 'dhcp'; readonly atMs: number }
/** `requests`: the requested address by transaction ID. Both maps are in the order of the last frame. */
type TapRecord = { readonly learned: Map<string, LearnedAddress>; readonly requests: Map<number, string> }

export interface Sightings {
  /** A frame on the TAP of the NIC with this MAC. `received` means that the VM sent it. */
  onTap(tap: string, mac: Mac, frame: Uint8Array, direction: 'received' | 'sent', nowMs: number): void
  forget(tap: string): void
  of(macs: readonly Mac[], nowMs: number): Sighting[]
}

export function sightings(): Sightings {
  const taps = new Map<string, TapRecord>()
  const recordOf = (tap: string): TapRecord => {
    const record = taps.get(tap) ?? { learned: new Map<string, LearnedAddress>(), requests: new Map<number, string>() }
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
      putLast(record.learned, `${ip} ${via}`, { mac, ip, via, atMs: nowMs }, maxAddressesPerTap)
    },
    forget: (tap) => void taps.delete(tap),
    of(macs, nowMs) {
      const wanted = new Set(macs)
      const found = [...taps].flatMap(([tap, { learned }]) =>
        [...learned.values()].filter((one) => wanted.has(one.mac)).map((one) => sightingOf(one, tap, nowMs)),
      )
      return found.sort((one, other) => one.ageMs - other.ageMs).slice(0, maxAnswers)
    },
  }
}

/** The address that the VM claims for itself. A probe (sender 0.0.0.0) claims none yet. */
function claimedAddress(frame: Uint8Array, mac: Mac): string | undefined {
  const arp = parseArp(frame)
  return arp?.frameSource === mac && arp.senderMac === mac && arp.senderIp !== '0.0.0.0' ? arp.senderIp : undefined
}

function noteRequest({ requests }: TapRecord, mac: Mac, frame: Uint8Array): void {
  const request = parseDhcpRequest(frame)
  if (request?.frameSource === mac && request.clientMac === mac) putLast(requests, request.xid, request.ip, maxRequestsPerTap)
}

function assignedAddress({ requests }: TapRecord, frame: Uint8Array, mac: Mac): string | undefined {
  const ack = parseDhcpAck(frame)
  // The transaction ID is no secret, since the REQUEST is a broadcast. A forged ACK can still only confirm the address that the VM requested.
  return ack?.clientMac === mac && requests.get(ack.xid) === ack.ip ? ack.ip : undefined
}

/** Deletes first, so that the map keeps the order of the last frame. */
function putLast<Key, Value>(map: Map<Key, Value>, key: Key, value: Value, limit: number): void {
  map.delete(key)
  map.set(key, value)
  const oldest = map.keys().next()
  if (map.size > limit && !oldest.done) map.delete(oldest.value)
}

function sightingOf({ mac, ip, via, atMs }: LearnedAddress, tap: string, nowMs: number): Sighting {
  return { mac, ip, via, interface: tap, ageMs: Math.max(0, Math.round(nowMs - atMs)) }
}
