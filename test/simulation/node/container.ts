import type { VmUid } from '../../../src/api/names.ts'
import type { ProcessEnd } from '../../../src/ports/child-process.ts'
import type { Log } from '../../../src/ports/log.ts'
import type { SeededRandom } from '../seeded-random.ts'
import type { VirtualTime } from '../virtual-time.ts'
import type { Lan, Station } from './lan.ts'
import type { Machine } from './machine.ts'
import { Process } from './process.ts'
import { qemuProcesses, type SimulatedQemu } from './qemu.ts'
import { startRunner } from './runner-program.ts'

const talkMs = 20_000
/** Docker starts the container, Node the program: Swarm says that the task is running meanwhile, and its predecessor may still answer. */
const longestStartMs = 1_500

export function containerIdOf(taskId: string): string {
  return `container-${taskId}`
}

/** The ports of every container. */
export interface ContainersPorts {
  readonly time: VirtualTime
  readonly random: SeededRandom
  readonly stateRoot: string
  readonly lan: Lan
  readonly log: Log
  /** Milliseconds from the power button until a guest is off. */
  readonly lingerMs: () => number
  readonly trace: (line: string) => void
  /** It is about to start a QEMU. */
  readonly onSpawn: (container: Container) => void
  /** Its guest runs and loses its power. */
  readonly onPowerCut: (container: Container) => void
  /** Its QEMU has the disks open. */
  readonly onHold: (container: Container) => void
  readonly onGuestUp: (container: Container) => void
  readonly onGuestDown: (container: Container) => void
  /** Something of its guest passes its TAP. */
  readonly onSpeech: (container: Container, mac: string, ip: string) => void
}

export interface ContainerFacts {
  readonly taskId: string
  readonly vm: string
  readonly uid: VmUid
  /** The IPv4 addresses of all its NICs. */
  readonly macs: readonly string[]
  /** The bytes of its launch config; undefined where it runs something else. */
  readonly launch: string | undefined
}

/** The container of a task: a fact of its own, whatever Swarm says of the task. Runner and QEMU live in it. */
export class Container {
  readonly taskId: string
  readonly vm: string
  readonly uid: VmUid
  readonly macs: readonly string[]
  readonly machine: Machine
  readonly startedMs: number
  /** It was asked to end. */
  ending = false
  endingMs = Number.POSITIVE_INFINITY
  gone = false
  isTakenOver = false
  readonly #ports: ContainersPorts
  readonly #runner: Process
  readonly #onExit: (code: number) => void
  #qemu: SimulatedQemu | undefined
  #station: Station | undefined
  #terminate: () => void = () => undefined

  constructor(facts: ContainerFacts, machine: Machine, ports: ContainersPorts, onExit: (code: number) => void) {
    this.taskId = facts.taskId
    this.vm = facts.vm
    this.uid = facts.uid
    this.macs = facts.macs
    this.machine = machine
    this.#ports = ports
    this.#onExit = onExit
    this.startedMs = ports.time.now()
    this.#runner = new Process(`runner of ${facts.taskId}`, ports.time, machine.descriptors)
    if (facts.launch === undefined) this.#terminate = () => void this.#runner.clock.after(ports.random.int(50, 150), () => onExit(0))
    else this.#run(facts.launch)
  }

  get nodeId(): string {
    return this.machine.nodeId
  }

  /** A QEMU of it has the disks open. */
  get holds(): boolean {
    return this.#qemu?.hasDisks === true
  }

  /** Its guest's system runs. */
  get isRunning(): boolean {
    return this.#qemu?.isUp === true
  }

  /** It has its address and answers. */
  get isOnLan(): boolean {
    return this.#station !== undefined
  }

  get qemu(): SimulatedQemu | undefined {
    return this.#qemu
  }

  /** It has a connection to the broker of its node. */
  get isLeased(): boolean {
    return this.machine.sockets.isConnected(this.#runner, this.machine.layout.brokerSocket(this.uid))
  }

  terminate(): void {
    this.#terminate()
  }

  /** All that runs in it is gone at once. */
  end(): void {
    this.gone = true
    this.#runner.end()
    this.#qemu?.end({ kind: 'killed', signal: 'SIGKILL' })
  }

  /** The runner is taken over: it drops its lease and its sockets, hears nothing, and its QEMU lives on. */
  takeOver(dropsTaps = false): void {
    this.#ports.trace(`runner of ${this.taskId} is taken over`)
    this.isTakenOver = true
    this.#runner.end()
    this.#terminate = () => undefined
    if (dropsTaps) this.#qemu?.dropTaps()
  }

  /** Its QEMU dies, or where it has none the runner does. */
  crash(how: 'killed' | 'panic' | 'shutdown' = 'killed'): void {
    const qemu = this.#qemu
    const end: ProcessEnd = { kind: 'killed', signal: 'SIGKILL' }
    if (qemu === undefined || !qemu.process.alive) return this.#onExit(137)
    if (how === 'panic' && qemu.state === 'running') qemu.panic()
    else if (how === 'shutdown' && qemu.state === 'running') qemu.shutDown()
    else qemu.end(end)
  }

  #run(launch: string): void {
    const { machine, uid } = this
    const { stateRoot, random, log } = this.#ports
    const container = containerIdOf(this.taskId)
    const process = this.#runner
    const { disk, descriptors } = machine
    const sockets = machine.sockets.of(process)
    const common = { process, disk, descriptors, sockets, random, log, stateRoot, uid, launch, container }
    let isStopped = false
    this.#terminate = () => {
      isStopped = true
    }
    process.clock.after(random.int(0, longestStartMs), () => {
      this.#terminate = startRunner({ ...common, processes: this.#processes(), onExit: this.#onExit })
      if (isStopped) this.#terminate()
    })
  }

  #processes() {
    const { time, random, lingerMs } = this.#ports
    const { disk, descriptors } = this.machine
    return qemuProcesses({
      disk,
      descriptors,
      time,
      random,
      name: this.taskId,
      shutdownMs: lingerMs,
      onSpawn: (qemu) => this.#spawned(qemu),
      onOpened: () => this.#ports.onHold(this),
      onGuestUp: (qemu) => this.#up(qemu),
      onGuestDown: () => this.#down(),
      onPowerCut: () => this.#ports.onPowerCut(this),
    })
  }

  #spawned(qemu: SimulatedQemu): void {
    this.#qemu = qemu
    this.#ports.onSpawn(this)
  }

  #up({ nics }: SimulatedQemu): void {
    const { lan } = this.#ports
    this.#ports.trace(`guest of ${this.taskId} is up`)
    const station: Station = { nodeId: this.nodeId, nics, speak: (mac, ip) => this.#ports.onSpeech(this, mac, ip) }
    this.#station = station
    this.#ports.onGuestUp(this)
    lan.join(station)
    this.#talk(station)
  }

  /** Every system asks for its gateway now and then. */
  #talk(station: Station): void {
    const { lan, time } = this.#ports
    time.after(talkMs, () => {
      if (this.#station !== station) return
      for (const { mac } of station.nics) station.speak(mac, lan.addressOf(mac))
      this.#talk(station)
    })
  }

  #down(): void {
    const station = this.#station
    if (station === undefined) return
    this.#ports.trace(`guest of ${this.taskId} is down`)
    this.#station = undefined
    this.#ports.lan.leave(station)
    this.#ports.onGuestDown(this)
  }
}
