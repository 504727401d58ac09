import type { GuestPortState, RunnerStatus } from '../src/api/wire/runner-control.ts'
import type { Clock } from '../src/ports/clock.ts'
import type { Log } from '../src/ports/log.ts'
import type { OpenRelay, PortRelay } from '../src/ports/port-relay.ts'
import type { GuestForward } from './devices/user-nics.ts'
import { guestPortState } from './guest-port.ts'
import type { Qemu, QemuMachine } from './qemu.ts'

interface GuestRelayDeps {
  readonly portRelay: PortRelay
  readonly clock: Clock
  readonly log: Log
}

/** The forwarded ports of the guest of one runner. */
export class GuestRelay {
  readonly #deps: GuestRelayDeps
  #relay: OpenRelay | undefined
  #forwards: readonly GuestForward[] = []

  constructor(deps: GuestRelayDeps) {
    this.#deps = deps
  }

  get status(): Pick<RunnerStatus, 'relay'> {
    return this.#relay === undefined ? {} : { relay: { problem: this.#relay.problem.slice(0, 2_048) } }
  }

  /** Opens nothing if the VM has no NIC behind NAT. */
  async open(nics: QemuMachine['nics']): Promise<void> {
    const behindNat = nics.flatMap((nic) => ('nat' in nic ? [nic] : []))
    if (behindNat.length === 0) return
    this.#forwards = behindNat.flatMap(({ forwards }) => forwards)
    this.#relay = await this.#deps.portRelay.open(this.#forwards)
    if (this.#relay.problem !== '') this.#deps.log.error({ why: this.#relay.problem }, 'Cannot forward all ports')
  }

  close(): void {
    this.#relay?.close()
    this.#relay = undefined
  }

  async state(qemu: Pick<Qemu, 'natConnections'> | undefined, port: number, timeoutMs: number): Promise<GuestPortState> {
    const { clock, log, portRelay } = this.#deps
    const forward = this.#forwards.find((one) => one.guest === port && one.protocol === 'tcp')
    if (qemu === undefined || forward === undefined) return 'notForwarded'
    const deps = { portRelay, clock, connections: () => qemu.natConnections() }
    return guestPortState(deps, forward, timeoutMs).catch((error: Error) => {
      log.debug({ port, why: error.message }, 'Cannot check a port of the guest')
      return 'silent'
    })
  }
}
