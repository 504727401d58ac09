import type { ProbeOutcome } from '../../../src/api/wire/broker-admin.ts'
import type { TcpConnect } from '../../../src/ports/tcp-connect.ts'
import type { Mac } from '../../../src/api/mac.ts'

/** Something on the LAN that has addresses: the guest of a VM. */
export interface Station {
  readonly nodeId: string
  /** By MAC, the TAP that it speaks through. */
  readonly nics: readonly { readonly mac: Mac; readonly tap: string }[]
  /** Its TAP receives packets of this machine. */
  readonly speak: (mac: string, ip: string) => void
}

/** One layer 2 with the `br0` of all nodes as ports. A machine keeps its address, as with a reservation by MAC. */
export class Lan {
  readonly #stations = new Set<Station>()
  readonly #addresses = new Map<string, string>()

  join(station: Station): void {
    this.#stations.add(station)
    for (const { mac } of station.nics) station.speak(mac, this.addressOf(mac))
  }

  leave(station: Station): void {
    this.#stations.delete(station)
  }

  addressOf(mac: string): string {
    const known = this.#addresses.get(mac)
    if (known !== undefined) return known
    const made = `192.168.50.${this.#addresses.size + 100}`
    this.#addresses.set(mac, made)
    return made
  }

  /** A machine that answers also sends packets that others receive. */
  ask(ip: string): ProbeOutcome {
    for (const station of this.#stations) {
      const nic = station.nics.find(({ mac }) => this.addressOf(mac) === ip)
      if (nic === undefined) continue
      station.speak(nic.mac, ip)
      return { outcome: 'reached', reason: 'Answered', message: '', mac: nic.mac, rttMs: 0.4 }
    }
    return { outcome: 'unreached', reason: 'NoAnswer', message: 'nothing in 1000 ms', mac: null, rttMs: null }
  }

  /** A service on every port, which speaks what it is asked. */
  readonly tcpConnect: TcpConnect = async ({ ip, talk }) => {
    if (this.ask(ip).outcome !== 'reached') return { kind: 'silent' }
    const received = talk === undefined ? '' : talk.send === '' ? 'SSH-2.0-simulated\r\n' : 'HTTP/1.1 200 OK\r\n\r\n'
    return { kind: 'connected', rttMs: 0.4, received }
  }
}

/** An announcement (RFC 5227): the MAC says of itself that it has this address. */
export function arpAnnouncement(mac: string, ip: string): Uint8Array {
  const frame = new Uint8Array(42)
  const macBytes = mac.split(':').map((each) => Number.parseInt(each, 16))
  const ipBytes = ip.split('.').map(Number)
  frame.fill(0xff, 0, 6)
  frame.set(macBytes, 6)
  frame.set([0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1], 12)
  frame.set(macBytes, 22)
  frame.set(ipBytes, 28)
  frame.set(ipBytes, 38)
  return frame
}
