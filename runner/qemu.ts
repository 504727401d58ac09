import type { RunnerStatus } from '../src/api/wire/runner-control.ts'
import type { ChildProcess, ChildProcesses, ProcessEnd } from '../src/ports/child-process.ts'
import { rfc3339 } from '../src/api/time.ts'
import type { Clock } from '../src/ports/clock.ts'
import type { Log } from '../src/ports/log.ts'
import { GuestAgent } from './guest-agent/guest-agent.ts'
import { guestAgentId } from './devices/channels.ts'
import type { NicInput, QemuInputs } from './devices/inputs.ts'
import { qemuArguments } from './qemu-arguments.ts'
import { memoryIn } from './guest-memory.ts'
import { Qmp, type QmpEvent } from './qmp.ts'
import { type LiveInputs, LiveMachine } from './live-part.ts'
import { followSerial } from './serial-console.ts'
import type { SerialLog } from './serial-log.ts'
import { lineSplitter } from './serial-text.ts'

/** QEMU's own channels start at descriptor 3. The broker's descriptors follow. */
const qmpFd = 3
const serialFd = 4
const agentFd = 5
const firstPassedFd = 6

/** After `quit` QEMU flushes its disks and exits in milliseconds. This limit covers a disk that hangs. */
const quitTimeoutMs = 10_000
const longestOutput = 4_000
const balloon = '/machine/peripheral/balloon0'
const balloonPollSeconds = 10

export type QemuMachine = Omit<QemuInputs, 'qmpFd' | 'serialFd' | 'agentFd' | 'kvmFd' | 'nics'> & {
  /** Owned by the runner. QEMU gets a copy. */
  readonly kvmFd: number | undefined
  readonly nics: QemuInputs['nics']
}

export interface QemuDeps {
  readonly processes: ChildProcesses
  readonly binary: string
  /** Maximum file size of a disk. */
  readonly maxDiskBytes: number
  readonly serialLog: SerialLog
  /** QEMU's STOP event: the guest's CPUs are stopped. */
  readonly onStopped: () => void
  /** Reads the live part from the VM's directory, in QEMU's names. */
  readonly live: () => Promise<LiveInputs & { readonly maxDiskBytes: number }>
  readonly clock: Clock
  readonly log: Log
}

/** How and why QEMU ended. `judgeEnd` in outcome.ts classifies it. */
export interface QemuEnd {
  readonly end: ProcessEnd
  /** True once the guest has run. */
  readonly ran: boolean
  /** The `reason` of QMP's SHUTDOWN event, or `guest-panic`. Undefined if QEMU gave none. */
  readonly reason: string | undefined
  /** The last output on stderr and stdout. */
  readonly output: string
}

/** One QEMU process. The guest starts with `run`. */
export class Qemu {
  readonly #child: ChildProcess
  readonly #qmp: Qmp
  readonly #deps: QemuDeps
  readonly #live: LiveMachine
  #fileLimit: number
  #turn: Promise<unknown>
  #isReady: () => void = () => undefined
  #watchdogFiredAt: string | undefined
  readonly #serialEnded: Promise<void>
  #ran = false
  #reason: string | undefined
  readonly agent: GuestAgent
  /** Resolves when QEMU has exited and its output is complete. Never rejects. */
  readonly ended: Promise<QemuEnd>

  private constructor(child: ChildProcess, deps: QemuDeps, output: Output) {
    this.#child = child
    this.#deps = deps
    const [qmp, serial, agent] = child.channels
    if (!qmp || !serial || !agent) throw new Error('QEMU was started without its channels')
    this.#qmp = new Qmp(qmp, deps.clock, (event) => this.#onEvent(event))
    this.#live = new LiveMachine(this.#qmp, deps.log)
    this.#fileLimit = deps.maxDiskBytes
    this.#turn = new Promise<void>((resolve) => (this.#isReady = resolve))
    this.#serialEnded = followSerial(serial, { log: deps.log, file: deps.serialLog, clock: deps.clock })
    this.agent = new GuestAgent(agent, deps)
    this.ended = this.#end(output)
  }

  /** Throws PortError if QEMU cannot be started. */
  static async start(machine: QemuMachine, deps: QemuDeps): Promise<Qemu> {
    const kvm = machine.kvmFd === undefined ? [] : [machine.kvmFd]
    const taps = machine.nics.flatMap((one) => ('nat' in one ? [] : [one]))
    const fdOf = (one: NicInput): number => firstPassedFd + kvm.length + taps.indexOf(one)
    const nics = machine.nics.map((one) => ('nat' in one ? one : { ...one, fd: fdOf(one) }))
    const kvmFd = machine.kvmFd === undefined ? undefined : firstPassedFd
    const output = new Output(deps.log)
    const child = await deps.processes.spawn(deps.binary, qemuArguments({ ...machine, nics, kvmFd, qmpFd, serialFd, agentFd }), {
      channels: 3,
      maxFileBytes: deps.maxDiskBytes,
      fds: [...kvm, ...taps.map(({ fd }) => fd), ...taps.flatMap(({ tokenFd = [] }) => tokenFd)],
      onOutput: (bytes) => output.take(bytes),
    })
    return new Qemu(child, deps, output)
  }

  /** Resolves with QEMU's version once the machine is set up. Throws QmpError if QEMU ends first. */
  async ready(): Promise<string> {
    const version = await this.#qmp.start()
    this.#isReady()
    await this.applyLive()
    await this.#qmp.execute('qom-set', { path: balloon, property: 'guest-stats-polling-interval', value: balloonPollSeconds })
    return version
  }

  /** Brings QEMU to the current live part, once QEMU is set up. One call at a time. Resolves with what QEMU does not have of it. */
  applyLive(): Promise<readonly string[]> {
    const next = this.#turn.then(() => this.#applyOnce())
    this.#turn = next.catch(() => undefined)
    return next
  }

  async #applyOnce(): Promise<readonly string[]> {
    try {
      const inputs = await this.#deps.live()
      const unlimited = inputs.maxDiskBytes > this.#fileLimit ? await this.#raiseFileLimit(inputs.maxDiskBytes) : []
      return [...unlimited, ...(await this.#live.apply(inputs))]
    } catch (error) {
      this.#deps.log.warn({ why: (error as Error).message }, 'Cannot apply the live part')
      return [(error as Error).message.slice(0, 500)]
    }
  }

  /** A disk of QEMU cannot grow beyond this limit. prlimit(1) changes it in the running process. Resolves with what went wrong. */
  async #raiseFileLimit(bytes: number): Promise<readonly string[]> {
    const args = ['--pid', String(this.#child.pid), `--fsize=${bytes}:`]
    const { ended } = await this.#deps.processes.spawn('prlimit', args, { channels: 0, fds: [], onOutput: () => undefined })
    const end = await ended
    if (end.kind !== 'exited' || end.code !== 0) return [`prlimit ${args.join(' ')} failed, so disks cannot grow to their size`]
    this.#fileLimit = bytes
    return []
  }

  /** RFC 3339 time at which the guest's watchdog fired last. */
  get watchdogFiredAt(): string | undefined {
    return this.#watchdogFiredAt
  }

  /** Statistics of the balloon; undefined while the guest sends none. Throws QmpError. */
  async memory(): Promise<RunnerStatus['memory']> {
    const [target, stats] = await Promise.all([
      this.#qmp.execute('query-balloon', undefined, 500),
      this.#qmp.execute('qom-get', { path: balloon, property: 'guest-stats' }, 500),
    ])
    return memoryIn(target, stats)
  }

  /** Throws QmpError. */
  async run(): Promise<void> {
    this.#ran = true
    await this.#qmp.execute('cont')
  }

  /** Presses the ACPI power button, which a guest may ignore. Throws QmpError. */
  async pressPowerButton(): Promise<void> {
    await this.#qmp.execute('system_powerdown')
  }

  /** Stops the guest's CPUs. Throws QmpError. */
  async pause(): Promise<void> {
    await this.#qmp.execute('stop')
  }

  /** Presses the reset button, which loses what the guest has not written. Throws QmpError. */
  async reset(): Promise<void> {
    await this.#qmp.execute('system_reset')
  }

  /** QEMU's run state. Throws QmpError, for a hung QEMU after half a second. */
  async status(): Promise<string> {
    const answer = await this.#qmp.execute('query-status', undefined, 500)
    const status = (answer as { status?: unknown } | null)?.status
    return typeof status === 'string' ? status.slice(0, 64) : 'unknown'
  }

  /** The connections through its NAT, as text. Throws QmpError. */
  async natConnections(): Promise<string> {
    const answer = await this.#qmp.execute('human-monitor-command', { 'command-line': 'info usernet' }, 500)
    return typeof answer === 'string' ? answer : ''
  }

  /** Kills a QEMU that cannot continue. This counts as a crash. */
  crash(why: string): void {
    this.#over(why)
  }

  /** Quits QEMU, which is a power cut for a running guest. QEMU flushes its disks. Resolves when it has exited. */
  async quit(): Promise<void> {
    const cancel = this.#deps.clock.after(quitTimeoutMs, () => this.#child.kill('SIGKILL'))
    try {
      // The connection often closes before the answer arrives, and the timer kills a QEMU that cannot answer.
      await this.#qmp.execute('quit').catch(() => undefined)
      await this.ended
    } finally {
      cancel()
    }
  }

  #onEvent(event: QmpEvent): void {
    this.#deps.log.debug({ event: event.event, data: event.data }, 'QEMU event')
    if (event.event === 'SHUTDOWN') this.#over(text(event.data?.['reason']))
    // With -no-shutdown a panic only stops the machine.
    else if (event.event === 'GUEST_PANICKED') this.#over('guest-panic')
    else if (event.event === 'STOP') this.#deps.onStopped()
    else if (event.event === 'VSERPORT_CHANGE' && event.data?.['id'] === guestAgentId) this.agent.portChanged(event.data['open'] === true)
    else if (event.event === 'WATCHDOG') this.#onWatchdog(text(event.data?.['action']))
  }

  /** `none` is the runner's `poweroff`: QEMU carries out the other actions itself. */
  #onWatchdog(action: string): void {
    this.#deps.log.warn({ action }, 'The watchdog fired: the guest hangs')
    this.#watchdogFiredAt = rfc3339(this.#deps.clock)
    if (action === 'none') this.#over('watchdog')
  }

  /** Only the first reason counts: `quit` causes another one. */
  #over(reason: string): void {
    if (this.#reason !== undefined) return
    this.#reason = reason
    void this.quit()
  }

  async #end(output: Output): Promise<QemuEnd> {
    const end = await this.#child.ended
    output.flush()
    await this.#serialEnded
    return { end, ran: this.#ran, reason: this.#reason, output: output.text.trim() }
  }
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : 'unknown'
}

/** Logs QEMU's output by line. The amount is limited, since a guest can provoke warnings. */
class Output {
  readonly #lines = lineSplitter()
  readonly #log: Log
  #left = 200
  /** The end of the output. */
  text = ''

  constructor(log: Log) {
    this.#log = log
  }

  take(bytes: Uint8Array): void {
    for (const line of this.#lines.push(bytes)) this.#show(line)
  }

  flush(): void {
    for (const line of this.#lines.flush()) this.#show(line)
  }

  #show(line: string): void {
    this.text = `${this.text}${line}\n`.slice(-longestOutput)
    this.#left -= 1
    if (this.#left >= 0) this.#log.warn({ stream: 'qemu', line }, 'QEMU wrote')
    if (this.#left === 0) this.#log.warn({ stream: 'qemu' }, 'QEMU wrote too much output; dropping the rest')
  }
}
