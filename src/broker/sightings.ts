import { parseArp, parseDhcpAck } from '../api/packets.ts'
import type { Sighting } from '../api/wire/broker-admin.ts'

/** Who has which address, as heard on the wire. Bounded: what a guest or a stranger sends can push out nothing but their own. */

/**
 * A guest with more than 16 addresses is heard with the latest. Strangers on a bridge are forgotten after an hour; a TAP's entries stay as long as
 * the TAP, since a quiet guest keeps its address.
 */
const limits = { tap: { entries: 16, expiryMs: Number.POSITIVE_INFINITY }, bridge: { entries: 1024, expiryMs: 3_600_000 } } as const
type Kind = keyof typeof limits

/** An answer is one frame of 64 KiB. */
const maxAnswers = 400

type Heard = { readonly mac: string; readonly ip: string; readonly via: 'arp' | 'dhcp'; readonly atMs: number }
type Table = { readonly kind: Kind; readonly table: Map<string, Heard> }

export interface Sightings {
  /** A frame on a TAP: counts if it speaks of one of the MACs that the TAP was granted. */
  onTap(tap: string, macs: readonly string[], frame: Uint8Array, direction: 'received' | 'sent', nowMs: number): void
  onBridge(bridge: string, frame: Uint8Array, direction: 'received' | 'sent', nowMs: number): void
  forget(interfaceName: string): void
  of(macs: readonly string[], nowMs: number): Sighting[]
}

export function sightings(): Sightings {
  const heardOn = new Map<string, Table>()
  const note = (interfaceName: string, kind: Kind, heard: Heard): void => {
    const { table } = heardOn.get(interfaceName) ?? { table: new Map<string, Heard>() }
    heardOn.set(interfaceName, { kind, table })
    const key = `${heard.mac} ${heard.ip} ${heard.via}`
    // Deleting first makes the map's order that of the last hearing.
    table.delete(key)
    table.set(key, heard)
    const oldest = table.keys().next()
    if (table.size > limits[kind].entries && !oldest.done) table.delete(oldest.value)
  }
  return {
    onTap(tap, macs, frame, direction, nowMs) {
      const heard = direction === 'received' ? claimed(frame, nowMs) : assigned(frame, nowMs)
      if (heard !== undefined && macs.includes(heard.mac)) note(tap, 'tap', heard)
    },
    onBridge(bridge, frame, direction, nowMs) {
      const heard = direction === 'received' ? (claimed(frame, nowMs) ?? assigned(frame, nowMs)) : undefined
      if (heard !== undefined) note(bridge, 'bridge', heard)
    },
    forget: (interfaceName) => void heardOn.delete(interfaceName),
    of(macs, nowMs) {
      const wanted = new Set(macs)
      const found: Sighting[] = []
      for (const [interfaceName, { kind, table }] of heardOn) {
        const expired = nowMs - limits[kind].expiryMs
        for (const [key, heard] of table) {
          if (heard.atMs < expired) table.delete(key)
          else if (wanted.has(heard.mac)) found.push(sightingOf(heard, interfaceName, nowMs))
        }
      }
      return found.sort((one, other) => one.ageMs - other.ageMs).slice(0, maxAnswers)
    },
  }
}

/** What a machine says of itself; a probe (sender 0.0.0.0) says nothing yet. */
function claimed(frame: Uint8Array, nowMs: number): Heard | undefined {
  const arp = parseArp(frame)
  if (arp === undefined || arp.frameSource !== arp.senderMac || arp.senderIp === '0.0.0.0') return undefined
  return { mac: arp.senderMac, ip: arp.senderIp, via: 'arp', atMs: nowMs }
}

function assigned(frame: Uint8Array, nowMs: number): Heard | undefined {
  const ack = parseDhcpAck(frame)
  return ack && { mac: ack.clientMac, ip: ack.ip, via: 'dhcp', atMs: nowMs }
}

function sightingOf(heard: Heard, interfaceName: string, nowMs: number): Sighting {
  return { mac: heard.mac, ip: heard.ip, via: heard.via, interface: interfaceName, ageMs: Math.max(0, Math.round(nowMs - heard.atMs)) }
}
