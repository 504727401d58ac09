import { tapNamePattern, type VmUid } from '../api/names.ts'
import type { Clock } from '../ports/clock.ts'
import type { PacketListener, HostNetwork } from '../ports/host-network.ts'
import type { Log } from '../ports/log.ts'
import { type BrokerNic, linkOf } from './nics.ts'
import type { Sightings } from './sightings.ts'

type Direction = 'received' | 'sent'

export interface ListeningOptions {
  readonly packetListener: PacketListener
  readonly network: HostNetwork
  readonly sightings: Sightings
  readonly bridges: readonly string[]
  readonly clock: Clock
  readonly log: Log
}

/** Listens on every leased TAP, and removes TAPs that no process has attached. */
export class Listening {
  readonly #options: ListeningOptions
  readonly #taps = new Map<VmUid, { close(): void }[]>()

  constructor(options: ListeningOptions) {
    this.#options = options
  }

  /** Replaces this VM's set of TAPs. */
  setTaps(uid: VmUid, nics: readonly BrokerNic[]): void {
    for (const listener of this.#taps.get(uid) ?? []) listener.close()
    this.#taps.delete(uid)
    const opened = nics.flatMap((nic) => this.#openTap(nic) ?? [])
    if (opened.length > 0) this.#taps.set(uid, opened)
  }

  /** Removes swarmvirt's TAPs on allowed bridges that no process has attached. */
  clearStale(leased: ReadonlySet<string>): void {
    const { bridges, log, network } = this.#options
    for (const tap of bridges.flatMap((bridge) => network.ports(bridge))) {
      if (!tapNamePattern.test(tap) || leased.has(tap)) continue
      if (network.clearTap(tap) === 'removed') log.info({ tap }, 'Removed a stale TAP')
    }
  }

  close(): void {
    for (const listener of [...this.#taps.values()].flat()) listener.close()
  }

  /** A macvtap sends what the guest sends, and a TAP receives it. */
  #openTap(nic: BrokerNic): { close(): void } | undefined {
    const { clock, packetListener, log, sightings } = this.#options
    const { tap, mac, direct } = nic
    const seenFromHost = (direction: Direction): Direction =>
      direct === undefined ? direction : direction === 'sent' ? 'received' : 'sent'
    try {
      const listener = packetListener.listen(
        linkOf(nic),
        (frame, direction) => sightings.onTap(tap, mac, frame, seenFromHost(direction), clock.now()),
        () => undefined,
      )
      return {
        close() {
          listener.close()
          sightings.forget(tap)
        },
      }
    } catch (error) {
      log.warn({ interface: linkOf(nic), err: error }, 'Cannot listen on a TAP; the address of this VM stays unknown')
      return undefined
    }
  }
}
