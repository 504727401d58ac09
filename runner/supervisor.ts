import { mostDiskBytes } from '../src/api/disk-bytes.ts'
import { release } from '../src/api/release.ts'
import type { GuestPortState, RunnerPhase, RunnerStatus } from '../src/api/wire/runner-control.ts'
import type { ChildProcesses } from '../src/ports/child-process.ts'
import type { Clock } from '../src/ports/clock.ts'
import { rfc3339, sleep } from '../src/api/time.ts'
import type { FdSockets } from '../src/ports/fd-socket.ts'
import type { Log } from '../src/ports/log.ts'
import type { OpenRelay, PortRelay } from '../src/ports/port-relay.ts'
import type { RunnerFiles } from '../src/ports/runner-files.ts'
import { type RunnerConfig, type VmPaths, vmPaths } from './config.ts'
import { ControlServer } from './control-server.ts'
import { afterCrash, type CrashRecord, crashDelayMs, readCrashRecord, writeCrashRecord } from './crash-record.ts'
import { type ExitName, exitCodes, isCrash, RunnerExit } from './exit-codes.ts'
import { guestPortState } from './guest-port.ts'
import type { Hardening } from './hardening.ts'
import { cdromsOf, disksOf, type Launch, readIdentity, readLaunch, readLivePart, readNicSlots, type SlottedNic } from './launch-files.ts'
import { acquireLease, type Lease } from './lease.ts'
import { judgeEnd, type Outcome, type Request } from './outcome.ts'
import { PausedGuest } from './paused-guest.ts'
import { powerOff } from './power-off.ts'
import { Qemu, type QemuMachine } from './qemu.ts'
import { forwardsOf, type GuestForward, natOf } from './devices/user-nics.ts'
import type { CdromInput, DiskInput } from './devices/inputs.ts'
import type { SerialLog } from './serial-log.ts'
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

interface Machine {
  readonly launch: Launch
  readonly nics: readonly SlottedNic[]
  readonly machineType: string
  readonly disks: readonly DiskInput[]
  readonly cdroms: readonly CdromInput[]
  readonly seedPath: string
  readonly maxDiskBytes: number
}

/** Runs one VM's task, from its launch config to an exit code. */
export class Supervisor {
  readonly #deps: SupervisorDeps
  readonly #paths: VmPaths
  readonly #startedAt: string
  readonly #startedMs: number
  #phase: RunnerPhase = 'Starting'
  #message = ''
  #crashes: CrashRecord | undefined
  #control: ControlServer | undefined
  #qemu: Qemu | undefined
  #relay: OpenRelay | undefined
  #forwards: readonly GuestForward[] = []
  #accelerator: RunnerStatus['accelerator'] = null
  #qemuStatus: string | null = null
  /** Aborted when the broker powers the running guest off. The runner then requests the lease again, and gets it if the node stays up. */
  #rest: AbortController | undefined
  /** When the guest started to run. Undefined if it never did. */
  #runningSinceMs: number | undefined
  #bootedAt: string | undefined

  constructor(deps: SupervisorDeps) {
    this.#deps = deps
    this.#paths = vmPaths(deps.config.vmDir)
    this.#startedAt = rfc3339(deps.clock)
    this.#startedMs = deps.clock.now()
  }

  /** Resolves with the exit reason, after counting a crash. Rejects only on a programming error. */
  async run(): Promise<ExitName> {
    const { files, log, stop, hardening } = this.#deps
    log.info({ release, hardening }, 'Started')
    this.#crashes = await readCrashRecord(files, this.#paths.crashRecord, (why) => log.warn({ why }, 'Cannot read the crash record'))
    const end = await this.#toTheEnd()
    log.info({ exit: end.exit, code: exitCodes[end.exit], why: end.message }, 'Ended')
    if (isCrash(end.exit)) await this.#countCrash(end.exit)
    if (stop.requested && !stop.exitSignal.aborted) {
      this.#enter('Stopped', end.message)
      await aborted(stop.exitSignal)
    }
    this.#control?.close()
    return end.exit
  }

  async #toTheEnd(): Promise<Extract<Outcome, { kind: 'exit' }>> {
    try {
      return await this.#supervise()
    } catch (error) {
      if (error instanceof StopRequested)
        return { kind: 'exit', exit: 'Stopped', message: `Stopped before the guest ran: ${error.message}` }
      if (error instanceof RunnerExit) return { kind: 'exit', exit: error.exit, message: error.message }
      throw error
    }
  }

  async #supervise(): Promise<Extract<Outcome, { kind: 'exit' }>> {
    const { config, files, stop } = this.#deps
    const launch = await this.#afterBackoff(readLaunch(files, config.launchConfig))
    this.#control = this.#controlServer(launch)
    const [identity, nics] = await this.#afterBackoff(
      Promise.all([
        readIdentity(files, this.#paths.identity, launch.launch),
        readNicSlots(files, this.#paths.nicSlots, launch.launch),
        this.#control.offer(),
      ]),
    )
    const seed = this.#seed(launch, nics)
    await this.#waitOutCrashes()
    for (;;) {
      const lease = await this.#acquire(launch)
      try {
        await this.#control.claim()
        this.#enter('Booting', 'QEMU is being started')
        const machineType = config.machineType ?? identity.machineType
        const maxDiskBytes = Math.max(...identity.disks.map((disk) => mostDiskBytes(disk.sizeBytes)))
        const disks = disksOf(launch.launch, identity, (name) => this.#paths.disk(name))
        const live = await readLivePart(files, this.#paths.livePart)
        const cdroms = cdromsOf(launch.launch, live, (sha256) => this.#paths.disc(sha256))
        const machine = { launch, nics, machineType, disks, cdroms, seedPath: await seed, maxDiskBytes }
        // The lease was lost while the seed was created: another runner may hold it now.
        if (!lease.alive) continue
        const rest = new AbortController()
        this.#rest = rest
        const outcome = await this.#runQemu(lease, machine, rest.signal)
        if (outcome.kind === 'exit' && !this.#rests(outcome.exit, rest.signal)) return outcome
        this.#enter(outcome.kind === 'exit' ? 'Stopped' : 'WaitingForPrevious', outcome.message)
      } finally {
        this.#rest = undefined
        lease.release()
      }
      await sleep(this.#deps.clock, lockedRetryMs, stop.signal)
    }
  }

  /** True if the guest is off because of the broker's request and the task must not end. */
  #rests(exit: ExitName, rest: AbortSignal): boolean {
    return rest.aborted && !this.#deps.stop.requested && (exit === 'Stopped' || exit === 'ForcedOff')
  }

  /** A start that cannot succeed backs off like a crash. Otherwise Swarm would retry it many times a second. */
  async #afterBackoff<T>(work: Promise<T>): Promise<T> {
    try {
      return await work
    } catch (error) {
      await this.#waitOutCrashes()
      throw error
    }
  }

  async #waitOutCrashes(): Promise<void> {
    const delayMs = crashDelayMs(this.#crashes, this.#deps.clock.now())
    if (delayMs === 0) return
    const { failures, lastExitCode } = this.#crashes ?? { failures: 0, lastExitCode: 0 }
    this.#enter(
      'CrashBackoff',
      `Waiting ${Math.ceil(delayMs / 1_000)} s after ${failures} crashes in a row; the last exit code was ${lastExitCode}`,
    )
    await sleep(this.#deps.clock, delayMs, this.#deps.stop.signal)
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
          onWaiting: (phase, message) => this.#enter(phase, message),
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

  async #runQemu(lease: Lease, machine: Machine, rest: AbortSignal): Promise<Outcome> {
    const { clock, config, log, processes } = this.#deps
    const { launch } = machine.launch
    const description = {
      uid: launch.uid,
      vm: launch.vm,
      machineType: machine.machineType,
      cpu: { cores: launch.cores, sockets: launch.sockets, threads: launch.threads, model: launch.cpuModel },
      memoryMiB: launch.memoryMiB,
      accelerator: lease.accelerator,
      kvmFd: lease.kvmFd,
      disks: machine.disks,
      nics: machineNics(machine, lease),
      seedPath: machine.seedPath,
      cdroms: machine.cdroms,
      vncSocket: launch.vnc === true ? this.#paths.vncSocket : undefined,
      watchdog: launch.watchdog,
    }
    let paused: PausedGuest | undefined
    const onStopped = (): void => void paused?.stopped()
    const limits = { binary: config.qemu, maxDiskBytes: machine.maxDiskBytes }
    const deps = { ...limits, processes, serialLog: this.#deps.serialLog, onStopped, clock, log }
    const qemu = await Qemu.start(description, deps).catch((cause: Error) => {
      throw new RunnerExit('QemuStartFailed', cause.message, { cause })
    })
    this.#qemu = qemu
    paused = this.#pausedGuest(qemu)
    this.#accelerator = lease.accelerator
    lease.keep()
    // Opened before the guest runs, so that a port that cannot be opened is known at once.
    this.#relay = await this.#openRelay(description.nics)
    const request = await this.#guide(qemu, rest, launch.powerOffTimeoutS * 1_000)
    const end = await qemu.ended
    this.#relay?.close()
    this.#relay = undefined
    this.#qemu = undefined
    this.#accelerator = null
    this.#qemuStatus = null
    return judgeEnd(end, request)
  }

  /** Undefined if the VM has no NIC behind NAT. */
  async #openRelay(nics: QemuMachine['nics']): Promise<OpenRelay | undefined> {
    const behindNat = nics.flatMap((nic) => ('nat' in nic ? [nic] : []))
    if (behindNat.length === 0) return undefined
    this.#forwards = behindNat.flatMap(({ forwards }) => forwards)
    const relay = await this.#deps.portRelay.open(this.#forwards)
    if (relay.problem !== '') this.#deps.log.error({ why: relay.problem }, 'Cannot forward all ports')
    return relay
  }

  #pausedGuest(qemu: Qemu): PausedGuest {
    const { clock, files, log } = this.#deps
    return new PausedGuest({
      qemu,
      freeBytes: () => files.freeBytes(this.#paths.disks),
      clock,
      log,
      onPaused: (why) => {
        if (this.#phase === 'Running') this.#enter('Running', why)
      },
    })
  }

  /** Follows QEMU from its start to its end, for any cause of that end. */
  async #guide(qemu: Qemu, rest: AbortSignal, powerOffTimeoutMs: number): Promise<Request> {
    const { clock, log, stop } = this.#deps
    const off = AbortSignal.any([stop.signal, rest])
    const hasEnded = qemu.ended.then(() => true)
    try {
      const version = await qemu.ready()
      log.info({ qemu: version, sinceStartMs: clock.now() - this.#startedMs }, 'QEMU is ready')
      if (off.aborted) {
        await qemu.quit()
        return 'asked'
      }
      // Taken before the guest can send anything, so that later addresses count as its own.
      const bootedAt = rfc3339(clock)
      await qemu.run()
      this.#runningSinceMs = clock.now()
      this.#bootedAt = bootedAt
      this.#enter('Running', '')
    } catch (error) {
      // QEMU's exit gives a better reason. A QEMU that runs and does not answer is unusable.
      log.debug({ why: (error as Error).message }, 'QEMU did not come up')
      await qemu.quit()
      return 'none'
    }
    if (await Promise.race([hasEnded, aborted(off).then(() => false)])) return 'none'
    this.#enter('ShuttingDown', (off.reason as Error).message)
    return (await powerOff(qemu, powerOffTimeoutMs, { clock, log })) === 'forced' ? 'forced' : 'asked'
  }

  #seed(launch: Launch, nics: readonly SlottedNic[]): Promise<string> {
    const seed = this.#deps.makeSeed(launch.launch, nics)
    // Created while waiting for the broker. The caller that needs the seed gets the error.
    seed.catch(() => undefined)
    return seed
  }

  #controlServer(launch: Launch): ControlServer {
    const { controlSockets, files, stop } = this.#deps
    return new ControlServer({
      sockets: controlSockets,
      files,
      path: this.#paths.controlSocket,
      uid: launch.launch.uid,
      status: () => this.#status(launch),
      guestPort: (port, timeoutMs) => this.#guestPort(port, timeoutMs),
      powerOff: () => stop.request('stayOff', 'power-off was requested over the control socket'),
    })
  }

  async #guestPort(port: number, timeoutMs: number): Promise<GuestPortState> {
    const { clock, log, portRelay } = this.#deps
    const [qemu, forward] = [this.#qemu, this.#forwards.find((one) => one.guest === port && one.protocol === 'tcp')]
    if (qemu === undefined || forward === undefined) return 'notForwarded'
    const deps = { portRelay, clock, connections: () => qemu.natConnections() }
    return guestPortState(deps, forward, timeoutMs).catch((error: Error) => {
      log.debug({ port, why: error.message }, 'Cannot check a port of the guest')
      return 'silent'
    })
  }

  async #status(launch: Launch): Promise<RunnerStatus> {
    // If QEMU does not answer, keep its last status.
    if (this.#qemu) this.#qemuStatus = await this.#qemu.status().catch(() => this.#qemuStatus)
    const { container } = this.#deps
    return {
      uid: launch.launch.uid,
      ...(container === undefined ? {} : { container }),
      ...(this.#bootedAt === undefined ? {} : { bootedAt: this.#bootedAt }),
      phase: this.#phase,
      message: this.#message.slice(0, 2_048),
      accelerator: this.#accelerator,
      qemuStatus: this.#qemuStatus,
      launchHash: launch.launchHash,
      release,
      startedAt: this.#startedAt,
      restarts: this.#crashes?.restarts ?? 0,
      hardening: this.#deps.hardening,
      ...(this.#relay === undefined ? {} : { relay: { problem: this.#relay.problem.slice(0, 2_048) } }),
    }
  }

  #enter(phase: RunnerPhase, message: string): void {
    if (phase === this.#phase && message === this.#message) return
    this.#phase = phase
    this.#message = message
    this.#deps.log.info({ phase, why: message }, 'Phase')
  }

  async #countCrash(exit: ExitName): Promise<void> {
    const { clock, files, log } = this.#deps
    const nowMs = clock.now()
    const ranMs = this.#runningSinceMs === undefined ? 0 : nowMs - this.#runningSinceMs
    this.#crashes = afterCrash(this.#crashes, { nowMs, ranMs, exitCode: exitCodes[exit] })
    await writeCrashRecord(files, this.#paths.crashRecord, this.#crashes).catch((error: Error) => {
      log.warn({ why: error.message }, 'Cannot write the crash record; the next start will not wait')
    })
  }
}

/** The lease has the TAPs; NICs behind NAT need none. */
function machineNics({ launch: { launch }, nics }: Machine, lease: Pick<Lease, 'nics'>): QemuMachine['nics'] {
  const users = nics.filter(({ user }) => user !== undefined)
  const forwards = forwardsOf(users.map(({ user }) => ({ ports: user?.ports ?? [] })))
  return nics.flatMap((one): QemuMachine['nics'][number][] => {
    const { name, mac, slot } = one
    if (one.user === undefined) return lease.nics.filter(({ nic }) => nic.name === name).map((tap) => ({ ...tap, slot }))
    const fixed = launch.cloudInit.networks?.find((network) => network.name === name)
    return [{ mac, slot, nat: natOf(slot, fixed), forwards: forwards[users.indexOf(one)] ?? [] }]
  })
}
