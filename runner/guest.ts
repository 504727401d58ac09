import { rfc3339 } from '../src/api/time.ts'
import type { ExecOutcome, GuestControl, GuestPortState, RunnerStatus } from '../src/api/wire/runner-control.ts'
import type { LaunchConfig } from '../src/api/wire/launch.ts'
import type { ChildProcesses } from '../src/ports/child-process.ts'
import type { Clock } from '../src/ports/clock.ts'
import type { Log } from '../src/ports/log.ts'
import type { PortRelay } from '../src/ports/port-relay.ts'
import { GuestRelay } from './guest-relay.ts'
import { RunnerExit } from './exit-codes.ts'
import type { Lease } from './lease.ts'
import { type Machine, qemuMachine } from './machine.ts'
import { judgeEnd, type Outcome, type Request } from './outcome.ts'
import { heldBySomebody, PausedGuest } from './paused-guest.ts'
import { powerOff } from './power-off.ts'
import { Qemu, type QemuDeps, type QemuMachine } from './qemu.ts'
import type { SerialLog } from './serial-log.ts'
import type { LifeEvent } from './state-machine.ts'
import { aborted } from './stop.ts'

/** The guest cannot be controlled now. */
class GuestControlError extends Error {
  override readonly name = 'GuestControlError'
}

interface GuestDeps {
  /** QEMU's binary. */
  readonly binary: string
  readonly processes: ChildProcesses
  readonly serialLog: SerialLog
  readonly portRelay: PortRelay
  readonly freeBytes: () => Promise<number>
  /** Reads the live part of this machine. */
  readonly live: (launch: LaunchConfig) => ReturnType<QemuDeps['live']>
  readonly clock: Clock
  readonly log: Log
  readonly happened: (event: LifeEvent) => void
  /** Clock time at which the runner started. */
  readonly startedMs: number
}

/** The guest of one runner: at most one QEMU at a time, from its start to its end. */
export class Guest {
  readonly #deps: GuestDeps
  readonly #relay: GuestRelay
  #qemu: Qemu | undefined
  #accelerator: RunnerStatus['accelerator'] = null
  #qemuStatus: string | null = null
  /** When the guest started to run. Undefined if it never did. */
  #runningSinceMs: number | undefined
  #bootedAt: string | undefined
  /** Somebody paused the guest. It stays paused until somebody resumes it, or QEMU ends. */
  #isHeld = false
  #isStopping = false
  #hasClosedDisks = true

  constructor(deps: GuestDeps) {
    this.#deps = deps
    this.#relay = new GuestRelay(deps)
  }

  get runningSinceMs(): number | undefined {
    return this.#runningSinceMs
  }

  /** False if the last QEMU was killed while its guest ran. */
  get hasClosedDisks(): boolean {
    return this.#hasClosedDisks
  }

  /** If QEMU does not answer, its last run state is repeated. */
  async status(): Promise<
    Pick<RunnerStatus, 'accelerator' | 'qemuStatus' | 'bootedAt' | 'guestAgent' | 'memory' | 'relay' | 'watchdogFiredAt'>
  > {
    if (this.#qemu) this.#qemuStatus = await this.#qemu.status().catch(() => this.#qemuStatus)
    const memory = await this.#qemu?.memory().catch(() => undefined)
    const watchdogFiredAt = this.#qemu?.watchdogFiredAt
    return {
      ...(memory === undefined ? {} : { memory }),
      ...(watchdogFiredAt === undefined ? {} : { watchdogFiredAt }),
      accelerator: this.#accelerator,
      qemuStatus: this.#qemuStatus,
      guestAgent: this.#qemu?.agent.status ?? { connected: false },
      ...this.#relay.status,
      ...(this.#bootedAt === undefined ? {} : { bootedAt: this.#bootedAt }),
    }
  }

  /** Throws GuestControlError if the guest does not run, or QEMU refuses. */
  async control(action: GuestControl): Promise<void> {
    const qemu = this.#qemu
    if (qemu === undefined || this.#runningSinceMs === undefined) throw new GuestControlError('the guest does not run')
    if (this.#isStopping) throw new GuestControlError('the guest is being shut down')
    const { happened } = this.#deps
    switch (action) {
      case 'pause':
        this.#isHeld = true
        await qemu.pause()
        return happened({ kind: 'paused', message: heldBySomebody })
      case 'unpause':
        this.#isHeld = false
        await qemu.run()
        return happened({ kind: 'resumed' })
      case 'reset':
        return qemu.reset()
    }
  }

  /** Brings QEMU to the live part. Resolves with the edits that it does not have. A guest that is off gets all of them at its start. */
  async applyLive(): Promise<readonly string[]> {
    return (await this.#qemu?.applyLive()) ?? []
  }

  /** Runs a program in the guest through its agent. */
  async exec(command: readonly string[], timeoutMs: number): Promise<ExecOutcome> {
    return (await this.#qemu?.agent.exec(command, timeoutMs)) ?? { kind: 'noAgent', message: 'the guest is off' }
  }

  /** Whether the guest accepts a connection to a forwarded port. */
  port(port: number, timeoutMs: number): Promise<GuestPortState> {
    return this.#relay.state(this.#qemu, port, timeoutMs)
  }

  /** Runs one QEMU until it ends. An abort of `off` shuts the guest down. Throws RunnerExit `QemuStartFailed`. */
  async run(lease: Lease, machine: Machine, off: AbortSignal): Promise<Outcome> {
    this.#isHeld = false
    this.#isStopping = false
    const described = qemuMachine(machine, lease)
    const qemu = await this.#start(described, machine)
    this.#qemu = qemu
    this.#accelerator = lease.accelerator
    lease.keep()
    // Opened before the guest runs, so that a port that cannot be opened is known at once.
    await this.#relay.open(described.nics)
    const request = await this.#guide(qemu, off, machine.launch.launch.powerOffTimeoutS * 1_000)
    const end = await qemu.ended
    this.#hasClosedDisks = !end.ran || (end.end.kind === 'exited' && end.end.code === 0)
    this.#relay.close()
    this.#qemu = undefined
    this.#accelerator = null
    this.#qemuStatus = null
    return judgeEnd(end, request)
  }

  async #start(described: QemuMachine, { launch: { launch }, maxDiskBytes }: Machine): Promise<Qemu> {
    const { binary, clock, log, processes, serialLog } = this.#deps
    let paused: PausedGuest | undefined
    const onStopped = (): void => void paused?.stopped()
    const live = () => this.#deps.live(launch)
    const deps = { binary, maxDiskBytes, processes, serialLog, onStopped, live, clock, log }
    const qemu = await Qemu.start(described, deps).catch((cause: Error) => {
      throw new RunnerExit('QemuStartFailed', cause.message, { cause })
    })
    paused = this.#pausedGuest(qemu)
    return qemu
  }

  #pausedGuest(qemu: Qemu): PausedGuest {
    const { clock, freeBytes, happened, log } = this.#deps
    const onPaused = (message: string): void => happened(message === '' ? { kind: 'resumed' } : { kind: 'paused', message })
    return new PausedGuest({ qemu, freeBytes, isHeld: () => this.#isHeld, clock, log, onPaused })
  }

  /** Follows QEMU from its start to its end, for any cause of that end. */
  async #guide(qemu: Qemu, off: AbortSignal, powerOffTimeoutMs: number): Promise<Request> {
    const { clock, happened, log } = this.#deps
    const hasEnded = qemu.ended.then(() => true)
    try {
      const version = await qemu.ready()
      log.info({ qemu: version, sinceStartMs: clock.now() - this.#deps.startedMs }, 'QEMU is ready')
      if (off.aborted) {
        await qemu.quit()
        return 'asked'
      }
      await this.#boot(qemu)
    } catch (error) {
      // QEMU's exit gives a better reason. A QEMU that runs and does not answer is unusable.
      log.debug({ why: (error as Error).message }, 'QEMU did not come up')
      await qemu.quit()
      return 'none'
    }
    if (await Promise.race([hasEnded, aborted(off).then(() => false)])) return 'none'
    this.#isHeld = false
    this.#isStopping = true
    happened({ kind: 'stopping', message: (off.reason as Error).message })
    return await powerOff(qemu, powerOffTimeoutMs, { clock, log })
  }

  async #boot(qemu: Qemu): Promise<void> {
    const { clock, happened } = this.#deps
    // Taken before the guest can send anything, so that later addresses count as its own.
    const bootedAt = rfc3339(clock)
    await qemu.run()
    this.#runningSinceMs = clock.now()
    this.#bootedAt = bootedAt
    happened({ kind: 'booted' })
  }
}
