import type { VmUid } from '../api/names.ts'
import { sleep } from '../api/time.ts'
import type { Clock } from '../ports/clock.ts'
import type { Log } from '../ports/log.ts'
import type { ConnectionId } from './lease.ts'
import type { RunnerLink } from './runner-link.ts'

/** How long nothing may start after power-off-all. By then the host is down, or stays up. */
const frozenAfterPowerOffMs = 60_000
const powerOffCheckMs = 100

/** A VM that holds a lease. Without a link, its runner is between two connections. */
export interface LeaseHolder {
  readonly uid: VmUid
  readonly link: RunnerLink | undefined
}

/** Powers off all VMs of a node that goes down. */
export class NodePower {
  readonly #clock: Clock
  readonly #log: Log
  readonly #holders: () => readonly LeaseHolder[]
  #frozenUntilMs = Number.NEGATIVE_INFINITY
  /** Number of the latest power-off-all or power-on-all. An older one stops when it changes. */
  #order = 0

  constructor(clock: Clock, log: Log, holders: () => readonly LeaseHolder[]) {
    this.#clock = clock
    this.#log = log
    this.#holders = holders
  }

  /** No VM may start. */
  isFrozen(): boolean {
    return this.#clock.elapsed() < this.#frozenUntilMs
  }

  /** Sends every holder a power-off and blocks new starts. Resolves with the VMs that still hold a lease at the deadline. */
  async offAll(timeoutMs: number): Promise<VmUid[]> {
    const order = ++this.#order
    const deadline = this.#clock.elapsed() + timeoutMs
    this.#frozenUntilMs = Math.max(this.#frozenUntilMs, deadline + frozenAfterPowerOffMs)
    this.#log.info({ held: this.#holders().length, timeoutMs }, 'Powering off every VM of this node')
    const informed = new Set<ConnectionId>()
    this.#sendPowerOff(informed)
    while (order === this.#order && this.#holders().length > 0 && this.#clock.elapsed() < deadline) {
      await sleep(this.#clock, Math.min(powerOffCheckMs, deadline - this.#clock.elapsed()))
      this.#sendPowerOff(informed)
    }
    if (order === this.#order) this.#frozenUntilMs = this.#clock.elapsed() + frozenAfterPowerOffMs
    return this.#holders().map(({ uid }) => uid)
  }

  /** The node stays up: waiting VMs may start at their next check. */
  onAll(): void {
    this.#order += 1
    this.#frozenUntilMs = Number.NEGATIVE_INFINITY
    this.#log.info({}, 'VMs may start again')
  }

  /** Repeated for holders that reconnect after the order. */
  #sendPowerOff(informed: Set<ConnectionId>): void {
    for (const { link } of this.#holders()) {
      if (link === undefined || informed.has(link.id)) continue
      informed.add(link.id)
      link.send({ type: 'powerOff', message: 'the node is going down' })
    }
  }
}
