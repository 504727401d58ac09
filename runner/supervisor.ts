import { release } from '../src/api/release.ts'
import type { RunnerStatus } from '../src/api/wire/runner-control.ts'
import type { FinishedFile } from '../src/api/wire/run-policy.ts'
import type { ChildProcesses } from '../src/ports/child-process.ts'
import type { Clock } from '../src/ports/clock.ts'
import { rfc3339, sleep } from '../src/api/time.ts'
import type { FdSockets } from '../src/ports/fd-socket.ts'
import type { Log } from '../src/ports/log.ts'
import type { PortRelay } from '../src/ports/port-relay.ts'
import type { RunnerFiles } from '../src/ports/runner-files.ts'
import { type RunnerConfig, type VmPaths, vmPaths } from './config.ts'
import { ControlServer } from './control-server.ts'
import { CrashBackoff } from './crash-backoff.ts'
import { DiskCheck } from './disk-check.ts'
import { earlySeed } from './early-seed.ts'
import { backsOff, type ExitName, exitCodes, RunnerExit } from './exit-codes.ts'
import { Guest } from './guest.ts'
import type { Hardening } from './hardening.ts'
import { type Launch, readIdentity, readLaunch, readLiveInputs, readNicSlots, type SlottedNic } from './launch-files.ts'
import { acquireLease, type Lease } from './lease.ts'
import { type Machine, machineOf } from './machine.ts'
import type { Outcome } from './outcome.ts'
import { resultOf, RunPolicyFiles } from './run-policy.ts'
import type { SerialLog } from './serial-log.ts'
import { firstLife, type LifeEvent, nextLife, phaseOf } from './state-machine.ts'
import { withFirmware } from './with-firmware.ts'
import { aborted, type Stop, StopRequested } from './stop.ts'

export interface SupervisorDeps {
  readonly config: RunnerConfig
  readonly hardening: Hardening
  /** Container ID of the runner, if known. */
  readonly container: string | undefined
  /** For the broker; these connections carry descriptors. */
  readonly brokerSockets: Pick<FdSockets, 'connect'>
  /** For the control socket. */
  readonly controlSockets: Pick<FdSockets, 'listen' | 'connect'>
  readonly closeFd: (fd: number) => void
  readonly processes: ChildProcesses
  readonly portRelay: PortRelay
  readonly files: RunnerFiles
  readonly serialLog: SerialLog
  /** Resolves with the path of the seed. Throws RunnerExit `SeedFailed`. */
  readonly makeSeed: (launch: Launch['launch'], nics: readonly SlottedNic[]) => Promise<string>
  readonly clock: Clock
  readonly log: Log
  readonly stop: Stop
}

/** How often a waiting runner checks whether the control socket is free. */
const offerEveryMs = 2_000
/** Retry interval for a disk that another QEMU has locked. */
const lockedRetryMs = 1_000

type Exit = Extract<Outcome, { kind: 'exit' }>
type Made = Omit<ReturnType<typeof machineOf>, 'launch'>

/** Runs one VM's task, from its launch config to an exit code. */
export class Supervisor {
  readonly #deps: SupervisorDeps
  readonly #paths: VmPaths
  readonly #startedAt: string
  readonly #crashes: CrashBackoff
  readonly #guest: Guest
  readonly #runs: RunPolicyFiles
  readonly #disks: DiskCheck
  #life = firstLife
  #control: ControlServer | undefined
  /** Aborted when the broker powers the running guest off. The runner then requests the lease again, and gets it if the node stays up. */
  #rest: AbortController | undefined

  constructor(deps: SupervisorDeps) {
    this.#deps = deps
    this.#paths = vmPaths(deps.config.vmDir)
    this.#startedAt = rfc3339(deps.clock)
    this.#crashes = new CrashBackoff({
      ...deps,
      path: this.#paths.crashRecord,
      onWaiting: (message) => this.#happened({ kind: 'backingOff', message }),
    })
    this.#runs = new RunPolicyFiles({ ...deps, policyPath: this.#paths.runPolicy, finishedPath: this.#paths.finished })
    this.#disks = new DiskCheck({ ...deps, qemuImg: deps.config.qemuImg, markPath: this.#paths.diskMark })
    this.#guest = new Guest({
      ...deps,
      binary: deps.config.qemu,
      freeBytes: () => deps.files.freeBytes(this.#paths.disks),
      live: (launch) => readLiveInputs(deps.files, this.#paths, launch),
      happened: (event) => this.#happened(event),
      startedMs: deps.clock.now(),
    })
  }

  /** Resolves with the exit reason, after counting a crash. Rejects only on a programming error. */
  async run(): Promise<ExitName> {
    const { log, stop, hardening } = this.#deps
    log.info({ release, hardening }, 'Started')
    await this.#crashes.read()
    const end = await this.#toTheEnd()
    log.info({ exit: end.exit, code: exitCodes[end.exit], why: end.message }, 'Ended')
    if (backsOff(end.exit)) await this.#crashes.count(end, this.#guest.runningSinceMs)
    if (stop.requested && !stop.exitSignal.aborted) {
      this.#happened({ kind: 'off', message: end.message })
      await aborted(stop.exitSignal)
    }
    this.#control?.close()
    return end.exit
  }

  async #toTheEnd(): Promise<Exit> {
    try {
      return await this.#supervise()
    } catch (error) {
      if (error instanceof StopRequested)
        return { kind: 'exit', exit: 'Stopped', message: `Stopped before the guest ran: ${error.message}` }
      if (error instanceof RunnerExit) return { kind: 'exit', exit: error.exit, message: error.message }
      throw error
    }
  }

  async #supervise(): Promise<Exit> {
    const { config, files, stop } = this.#deps
    const launch = await this.#crashes.before(readLaunch(files, config.launchConfig), stop.signal)
    const control = this.#controlServer(launch)
    this.#control = control
    const seed = earlySeed((nics) => this.#deps.makeSeed(launch.launch, nics))
    // Early, so that a wrong file is reported at once.
    const [early] = await this.#crashes.before(Promise.all([this.#made(launch), control.offer()]), stop.signal)
    void seed(early.nics).catch(() => undefined)
    await this.#crashes.wait(stop.signal)
    for (;;) {
      await this.#runs.untilAllowed((finished) => this.#stays(control, finished), stop.signal)
      const lease = await this.#acquire(launch)
      try {
        await control.claim()
        this.#happened({ kind: 'leased' })
        // The agent writes slots and sizes before it grants them, so those from before the lease may be old.
        const made = await this.#made(launch)
        const machine = { ...made, launch, seedPath: await seed(made.nics) }
        await this.#mustBeSound(lease, machine)
        // The lease was lost while the seed was created or the disks were checked: another runner may hold it now.
        if (!lease.alive) continue
        const rest = new AbortController()
        this.#rest = rest
        const off = AbortSignal.any([stop.signal, rest.signal])
        const outcome = await withFirmware(this.#deps, this.#paths, launch.launch.firmware, (firmware) =>
          this.#runGuest(lease, { ...machine, firmware }, off),
        )
        if (outcome.kind === 'exit' && (await this.#finishes(outcome))) continue
        if (outcome.kind === 'exit' && !this.#rests(outcome.exit, rest.signal)) return outcome
        this.#happened(afterRest(outcome))
      } finally {
        this.#rest = undefined
        lease.release()
      }
      await sleep(this.#deps.clock, lockedRetryMs, stop.signal)
    }
  }

  async #made(launch: Launch): Promise<Made> {
    const { config, files } = this.#deps
    const [identity, nics] = await Promise.all([
      readIdentity(files, this.#paths.identity, launch.launch),
      readNicSlots(files, this.#paths.nicSlots, launch.launch),
    ])
    return machineOf(launch, nics, { ...identity, machineType: config.machineType ?? identity.machineType }, this.#paths)
  }

  async #runGuest(lease: Lease, machine: Machine, off: AbortSignal): Promise<Outcome> {
    await this.#disks.opened()
    const outcome = await this.#guest.run(lease, machine, off)
    if (this.#guest.hasClosedDisks) await this.#disks.closed()
    return outcome
  }

  /** Waits for a stop if a disk is corrupt: ending the task would have Swarm start it again. */
  async #mustBeSound(lease: Lease, { disks }: Machine): Promise<void> {
    const { log, stop } = this.#deps
    const why = await this.#disks.whyNot(disks)
    if (why === undefined) return
    log.error({ why }, 'The guest is not started')
    this.#happened({ kind: 'diskCorrupt', message: why })
    lease.release()
    await aborted(stop.signal)
    stop.signal.throwIfAborted()
  }

  /** Answers on the control socket also after a previous runner has ended. */
  #stays(control: ControlServer, { result, message }: FinishedFile): void {
    this.#happened({ kind: 'finished', result, message })
    void control.offer().catch((error: Error) => this.#deps.log.debug({ why: error.message }, 'Cannot take over the control socket'))
  }

  /** True if the guest's runStrategy does not run it again. The task stays, since Swarm would restart one that ends. */
  async #finishes({ exit, message }: Exit): Promise<boolean> {
    const { stop } = this.#deps
    const policy = await this.#runs.policy(stop.signal)
    const result = resultOf(policy, exit)
    if (result === undefined) return false
    await this.#runs.finish(result, policy.run, `${message}; runStrategy ${policy.strategy} does not start it again`, stop.signal)
    return true
  }

  /** True if the guest is off because of the broker's request and the task must not end. */
  #rests(exit: ExitName, rest: AbortSignal): boolean {
    return rest.aborted && !this.#deps.stop.requested && (exit === 'Stopped' || exit === 'ForcedOff')
  }

  async #acquire(launch: Launch): Promise<Lease> {
    const { clock, config, closeFd, log, stop } = this.#deps
    const over = new AbortController()
    void this.#keepOffering(over.signal)
    try {
      return await acquireLease(
        {
          sockets: this.#deps.brokerSockets,
          socketPath: config.brokerSocket,
          launch: launch.launch,
          container: this.#deps.container,
          closeFd,
          clock,
          log,
          onWaiting: (state, message) => this.#happened({ kind: 'waiting', state, message }),
          onPowerOff: (message) => this.#rest?.abort(new StopRequested(`the broker requested it: ${message}`)),
        },
        stop.signal,
      )
    } finally {
      over.abort(new Error('the lease was granted'))
    }
  }

  /** Takes over the control socket when the previous runner ends. Never rejects: `claim` reports a problem of the socket. */
  async #keepOffering(over: AbortSignal): Promise<void> {
    const again = (): Promise<boolean> =>
      sleep(this.#deps.clock, offerEveryMs, over).then(
        () => true,
        () => false,
      )
    while (await again()) await this.#control?.offer().catch(() => undefined)
  }

  #controlServer(launch: Launch): ControlServer {
    const { controlSockets, files, stop } = this.#deps
    return new ControlServer({
      sockets: controlSockets,
      files,
      path: this.#paths.controlSocket,
      uid: launch.launch.uid,
      status: () => this.#status(launch),
      guestPort: (port, timeoutMs) => this.#guest.port(port, timeoutMs),
      control: (action) => this.#guest.control(action),
      exec: (command, timeoutMs) => this.#guest.exec(command, timeoutMs),
      live: () => this.#guest.applyLive(),
      powerOff: () => stop.request('stayOff', 'power-off was requested over the control socket'),
    })
  }

  async #status(launch: Launch): Promise<RunnerStatus> {
    const { container, hardening } = this.#deps
    return {
      uid: launch.launch.uid,
      ...(container === undefined ? {} : { container }),
      ...(await this.#guest.status()),
      phase: phaseOf(this.#life.state),
      state: this.#life.state,
      message: this.#life.message.slice(0, 2_048),
      launchHash: launch.launchHash,
      release,
      startedAt: this.#startedAt,
      restarts: this.#crashes.restarts,
      ...(this.#runs.finished === undefined ? {} : { finished: this.#runs.finished }),
      hardening,
    }
  }

  #happened(event: LifeEvent): void {
    const next = nextLife(this.#life, event)
    if (next === this.#life) return
    this.#life = next
    this.#deps.log.info({ phase: next.state, why: next.message }, 'Phase')
  }
}

/** The guest is off, and the runner requests the lease again. */
function afterRest({ kind, message }: Outcome): LifeEvent {
  return kind === 'exit' ? { kind: 'off', message } : { kind: 'waiting', state: 'WaitingForPrevious', message }
}
