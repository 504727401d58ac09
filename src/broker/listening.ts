import { tapNamePattern, type VmUid } from '../api/names.ts'
import type { Clock } from '../ports/clock.ts'
import type { Ears, HostNetwork } from '../ports/host-network.ts'
import type { Log } from '../ports/log.ts'
import type { GrantedNic } from './nics.ts'
import type { Sightings } from './sightings.ts'

export interface ListeningOptions {
  readonly ears: Ears
  readonly network: HostNetwork
  readonly sightings: Sightings
  readonly bridges: readonly string[]
  readonly clock: Clock
  readonly log: Log
}

/** Keeps an ear on every leased TAP and every allowed bridge, and clears TAPs away that nobody has any more. */
export class Listening {
  readonly #options: ListeningOptions
  readonly #taps = new Map<VmUid, { close(): void }[]>()
  readonly #bridges = new Map<string, { close(): void }>()

  constructor(options: ListeningOptions) {
    this.#options = options
  }

  /** These are the TAPs of this VM from now on. */
  setTaps(uid: VmUid, nics: readonly GrantedNic[]): void {
    for (const ear of this.#taps.get(uid) ?? []) ear.close()
    this.#taps.delete(uid)
    const opened = nics.flatMap((nic) => this.#openTap(nic) ?? [])
    if (opened.length > 0) this.#taps.set(uid, opened)
  }

  /** Bridges come and go with the host's own configuration. */
  followBridges(): void {
    for (const bridge of this.#options.bridges) {
      if (this.#bridges.has(bridge) || this.#options.network.bridge(bridge) === undefined) continue
      const ear = this.#listen(
        bridge,
        (frame, direction) => this.#options.sightings.onBridge(bridge, frame, direction, this.#options.clock.now()),
        () => this.#bridges.delete(bridge),
      )
      if (ear !== undefined) this.#bridges.set(bridge, ear)
    }
  }

  /** Removes TAPs of ours on allowed bridges that no process has attached. */
  clearStale(leased: ReadonlySet<string>): void {
    const { bridges, log, network } = this.#options
    for (const tap of bridges.flatMap((bridge) => network.ports(bridge))) {
      if (!tapNamePattern.test(tap) || leased.has(tap)) continue
      if (network.clearTap(tap) === 'removed') log.info({ tap }, 'Removed a stale TAP')
    }
  }

  close(): void {
    for (const ear of [...this.#taps.values()].flat()) ear.close()
    for (const ear of this.#bridges.values()) ear.close()
  }

  #openTap(nic: GrantedNic): { close(): void } | undefined {
    const { clock, sightings } = this.#options
    const ear = this.#listen(
      nic.tap,
      (frame, direction) => sightings.onTap(nic.tap, [nic.mac], frame, direction, clock.now()),
      () => undefined,
    )
    return (
      ear && {
        close() {
          ear.close()
          sightings.forget(nic.tap)
        },
      }
    )
  }

  #listen(
    name: string,
    onFrame: (frame: Uint8Array, direction: 'received' | 'sent') => void,
    onEnd: () => void,
  ): { close(): void } | undefined {
    try {
      return this.#options.ears.listen(name, onFrame, onEnd)
    } catch (error) {
      this.#options.log.warn({ interface: name, err: error }, 'Cannot hear who has which address here')
      return undefined
    }
  }
}
