import { objectLabels } from '../../src/api/labels.ts'
import type { VmUid } from '../../src/api/names.ts'
import type { InstanceRecord } from '../../src/api/wire/agent-api.ts'
import type { Agent, Agents } from '../../src/ports/agents.ts'
import { dig, rawList } from '../../src/reconcilers/shared/raw.ts'
import { Container, type ContainerFacts, containerIdOf } from './node/container.ts'
import type { ContainersPorts } from './node/container.ts'
import { Crashes } from './node/crashes.ts'
import { arpAnnouncement, Lan } from './node/lan.ts'
import { Machine } from './node/machine.ts'
import { noAgent, watchfulLog } from './node/silent.ts'
import { Steps } from './node/steps.ts'
import type { Fault } from './faults.ts'
import { isWanted, type SimulatedTask } from './managed-world.ts'
import type { SeededRandom } from './seeded-random.ts'
import type { SimulatedSwarm } from './simulated-swarm.ts'
import type { VirtualTime } from './virtual-time.ts'
import { isUid } from '../../src/api/names.ts'

export type { Container } from './node/container.ts'

/** A guest that ran and was seen on the LAN. */
export interface Guest {
  readonly vm: string
  readonly taskId: string
  readonly fromMs: number
  toMs: number | undefined
}

export interface Disk {
  readonly vm: string
  readonly uid: VmUid
  readonly nodeId: string
  readonly name: string
  /** An old state of it, restored from a backup. */
  readonly isCopy?: true
}

/** How a disk went. */
export interface Unlink {
  /** By the agent that removed it. */
  readonly isLocked: boolean
  readonly isGranted: boolean
}

export interface MachinesPorts {
  readonly swarm: SimulatedSwarm
  readonly time: VirtualTime
  readonly random: SeededRandom
  readonly faults: readonly Fault[]
  readonly stateRoot: string
  readonly onFault: (untilMs: number) => void
  readonly trace: (line: string) => void
  /** A program of ours failed, or did what none may do. */
  readonly onInternalError: (message: string) => void
  /** A container starts a QEMU; `dueMs` is when its crashes are waited out. */
  readonly onSpawn: (container: Container, others: readonly Container[], dueMs: number) => void
  /** A container has the disks of its VM open. */
  readonly onHold: (container: Container, others: readonly Container[]) => void
  /** Its guest runs and loses its power, and no fault did it. */
  readonly onPowerCut: (container: Container) => void
  readonly onDisk: (disk: Disk, before: 'none' | 'locked' | 'unlocked') => void
  readonly onDeleted: (disk: Disk, unlink: Unlink) => void
  readonly onRevoke: (record: InstanceRecord) => void
  readonly onOrder: (record: InstanceRecord) => void
}

/** From Swarm giving a task up to its container hearing of it. */
const longestStopMs = 3_000
/** From the end of a task until its room is given to another. */
const schedulerMs = 100
/** dockerd kills what has not ended by then: the stop grace period of a VM's service. */
const stopGraceMs = 120_000

/** The nodes below the Swarm: machines with the real agent and broker, containers with the real runner, and the LAN. */
export class Machines implements Agents {
  readonly nodes = new Map<string, Machine>()
  readonly containers = new Map<string, Container>()
  /** All that there are. */
  readonly disks: Disk[] = []
  /** Uids of VMs whose guest has started at least once, so their disks may hold data. */
  readonly started = new Set<VmUid>()
  readonly guests: Guest[] = []
  readonly lan = new Lan()
  readonly crashes = new Crashes()
  readonly steps: Steps
  /** Milliseconds from the power button until a guest is off. */
  lingerMs: () => number = () => this.#ports.random.int(200, 4_000)
  /** Something else than a controller ended a guest. */
  wasInterrupted = false
  readonly #ports: MachinesPorts
  readonly #starting = new Set<string>()

  constructor(ports: MachinesPorts) {
    this.#ports = ports
    this.steps = new Steps(ports)
    ports.swarm.tasksTakeTime = true
    ports.swarm.onSettled = () => this.#follow()
  }

  add(hostname: string): string {
    const id = this.#ports.swarm.addNode(hostname)
    const { time, random, stateRoot, trace, onInternalError, onRevoke, onOrder } = this.#ports
    const shared = {
      time,
      random,
      stateRoot,
      trace,
      onRevoke,
      onOrder,
      steps: this.steps,
      lan: this.lan,
      log: watchfulLog(onInternalError),
    }
    const machine = new Machine(hostname, id, `192.168.50.${this.nodes.size + 11}`, {
      ...shared,
      onFault: onInternalError,
      onDisk: (...made) => this.#diskMade(...made),
      onUnlink: (...gone) => this.#diskGone(...gone),
    })
    this.nodes.set(id, machine)
    return id
  }

  machine(nodeId: string): Machine {
    const found = this.nodes.get(nodeId)
    if (found === undefined) throw new Error(`no machine ${nodeId}`)
    return found
  }

  on(nodeId: string): Agent {
    return this.nodes.get(nodeId)?.agent ?? noAgent
  }

  /** Those with the disk of this VM open. */
  writersOf(vm: string): Container[] {
    return [...this.containers.values()].filter((one) => one.vm === vm && one.holds)
  }

  /** The power goes: containers are gone at once, and nobody can say so. */
  powerOff(nodeId: string): void {
    this.wasInterrupted = true
    for (const one of this.#containersOn(nodeId)) this.#end(one)
    this.machine(nodeId).powerOff()
  }

  powerOn(nodeId: string): void {
    const { swarm, time } = this.#ports
    this.machine(nodeId).powerOn()
    for (const task of swarm.tasks.values()) {
      if (task.nodeId !== nodeId || this.containers.has(task.id) || !['running', 'preparing', 'starting'].includes(task.state)) continue
      Object.assign(task, { state: 'failed', desiredState: 'shutdown', error: 'No such container', updatedAt: this.#time() })
    }
    for (const one of swarm.leaving.values()) if (one.nodeId === nodeId && !this.containers.has(one.id)) swarm.leaving.delete(one.id)
    time.after(1_000, () => swarm.settle())
  }

  /** The guest of a VM crashes, panics or powers itself off; its runner ends, and Swarm starts another. */
  crash(vm: string, how?: 'killed' | 'panic' | 'shutdown'): void {
    for (const one of this.containers.values()) if (one.vm === vm && !one.ending) one.crash(how)
  }

  /** `docker kill`. */
  kill(one: Container): void {
    this.wasInterrupted = true
    this.#exited(one, 137)
  }

  /** A guest of another VM is on the LAN with its MAC. */
  hasTwin(vm: string): boolean {
    const all = [...this.containers.values()]
    const macs = new Set(all.filter((one) => one.vm === vm).flatMap((one) => one.macs))
    return all.some((one) => one.vm !== vm && one.isOnLan && one.macs.some((mac) => macs.has(mac)))
  }

  /** Starts what Swarm wants started and asks to end what it does not want any more. */
  #follow(): void {
    const { swarm, time, random } = this.#ports
    for (const task of swarm.tasks.values()) {
      if (!isWanted(task) || task.nodeId === undefined || task.state !== 'preparing' || this.#starting.has(task.id)) continue
      this.#starting.add(task.id)
      time.after(random.int(300, 900), () => this.#start(task.id))
    }
    for (const one of this.containers.values()) {
      const task = swarm.tasks.get(one.taskId)
      if (one.ending || (task !== undefined && isWanted(task)) || !one.machine.isConnected) continue
      one.ending = true
      one.endingMs = time.now()
      // dockerd gives it SIGTERM when it comes to it, and the next task may be running by then.
      time.after(random.int(0, longestStopMs), () => void (one.gone || one.terminate()))
      time.after(stopGraceMs, () => this.#exited(one, 137))
    }
  }

  #start(taskId: string): void {
    const { swarm, time } = this.#ports
    const task = swarm.tasks.get(taskId)
    const service = swarm.services.get(task?.serviceId ?? '')
    const machine = this.nodes.get(task?.nodeId ?? '')
    // The node's dockerd hears of it when it is back.
    if (machine !== undefined && (!machine.isUp || !machine.isConnected)) return void time.after(1_000, () => this.#start(taskId))
    this.#starting.delete(taskId)
    if (task === undefined || service === undefined || machine === undefined) return swarm.containerEnded(taskId)
    if (!isWanted(task)) {
      this.#ended(task)
      return swarm.containerEnded(taskId)
    }
    const uid = service.labels[objectLabels.uid] ?? ''
    if (!isUid(uid) || !machine.canMount(uid)) {
      const error = `invalid mount config for type "bind": bind source path does not exist: ${machine.layout.instances}/${uid}`
      Object.assign(task, { state: 'rejected', desiredState: 'shutdown', error, updatedAt: this.#time() })
      this.#prune(service.id)
      return void time.after(1_000, () => swarm.settle())
    }
    Object.assign(task, {
      state: 'running',
      desiredState: 'running',
      message: 'started',
      containerId: containerIdOf(taskId),
      updatedAt: this.#time(),
    })
    this.#run({ taskId, vm: service.labels[objectLabels.vm] ?? '', uid, ...this.#launchOf(service.spec) }, machine)
  }

  #run(facts: ContainerFacts, machine: Machine): void {
    const container: Container = new Container(facts, machine, this.#containersPorts(), (code) => this.#exited(container, code))
    this.containers.set(facts.taskId, container)
  }

  #containersPorts(): ContainersPorts {
    const { time, random, stateRoot, trace, onInternalError, onSpawn, onHold, onPowerCut } = this.#ports
    const others = (of: Container): Container[] => [...this.containers.values()].filter((one) => one !== of && one.holds)
    return {
      time,
      random,
      stateRoot,
      trace,
      lan: this.lan,
      log: watchfulLog(onInternalError),
      lingerMs: () => this.lingerMs(),
      onSpawn: (one) => {
        this.started.add(one.uid)
        onSpawn(one, others(one), this.crashes.dueMs(one.uid))
      },
      onPowerCut,
      onHold: (one) => onHold(one, others(one)),
      onGuestUp: ({ vm, taskId }) => void this.guests.push({ vm, taskId, fromMs: time.now(), toMs: undefined }),
      onGuestDown: ({ taskId }) => this.#guestDown(taskId),
      onSpeech: (one, mac, ip) => this.#speech(one, mac, ip),
    }
  }

  #launchOf(spec: unknown): Pick<ContainerFacts, 'macs' | 'launch'> {
    const id = dig(rawList(dig(spec, 'TaskTemplate', 'ContainerSpec', 'Configs'))[0], 'ConfigID')
    const config = this.#ports.swarm.configs.get(String(id))
    if (config === undefined) return { macs: [], launch: undefined }
    const launch = new TextDecoder().decode(config.data)
    return { launch, macs: rawList(dig(JSON.parse(launch) as unknown, 'nics')).map((one) => String(dig(one, 'mac'))) }
  }

  #guestDown(taskId: string): void {
    for (const guest of this.guests) if (guest.taskId === taskId) guest.toMs ??= this.#ports.time.now()
  }

  #speech({ machine, qemu }: Container, mac: string, ip: string): void {
    const tap = qemu?.nics.find((one) => one.mac === mac)?.tap
    if (tap !== undefined) machine.host.hear(tap, arpAnnouncement(mac, ip))
  }

  #diskMade(machine: Machine, uid: VmUid, name: string, before: 'none' | 'locked' | 'unlocked'): void {
    const disk = { vm: machine.record(uid)?.vm ?? 'unknown', uid, nodeId: machine.nodeId, name }
    this.#ports.onDisk(disk, before)
    if (before === 'none') this.disks.push(disk)
  }

  #diskGone(machine: Machine, uid: VmUid, name: string, isLocked: boolean): void {
    const at = this.disks.findIndex((one) => one.uid === uid && one.nodeId === machine.nodeId && one.name === name)
    for (const disk of at < 0 ? [] : this.disks.splice(at, 1)) this.#ports.onDeleted(disk, { isLocked, isGranted: machine.isGranted(uid) })
  }

  /** Its last program has ended. */
  #exited(one: Container, exitCode: number): void {
    const { swarm, time } = this.#ports
    if (one.gone) return
    this.#ports.trace(`container of ${one.taskId} ends with ${exitCode}`)
    if (exitCode === 137 && one.ending && one.isRunning && !one.isTakenOver) this.#ports.onPowerCut(one)
    this.crashes.ended(one, exitCode, time.now())
    this.#end(one)
    const task = swarm.tasks.get(one.taskId)
    if (task === undefined) return
    if (isWanted(task)) {
      const error = exitCode === 0 ? '' : `task: non-zero exit (${exitCode})`
      const state = exitCode === 0 ? 'complete' : 'failed'
      Object.assign(task, { state, desiredState: 'shutdown', error, exitCode, updatedAt: this.#time() })
      time.after(1_000, () => swarm.settle())
    } else if (task.state === 'running') this.#ended(task)
    this.#prune(task.serviceId)
  }

  /** Its container is gone, or never existed. A surplus task is not kept. */
  #ended(task: SimulatedTask): void {
    if (task.desiredState === 'remove') this.#ports.swarm.tasks.delete(task.id)
    else Object.assign(task, { state: 'shutdown', message: 'shutdown', updatedAt: this.#time() })
  }

  #end(one: Container): void {
    one.end()
    this.containers.delete(one.taskId)
    this.#ports.time.after(schedulerMs, () => this.#ports.swarm.containerEnded(one.taskId))
    this.#guestDown(one.taskId)
  }

  /** Swarm keeps the last five tasks of a slot. */
  #prune(serviceId: string): void {
    const { tasks } = this.#ports.swarm
    const ended = [...tasks.values()].filter((one) => one.serviceId === serviceId && !isWanted(one) && !this.containers.has(one.id))
    for (const old of ended.slice(0, -4)) tasks.delete(old.id)
  }

  #containersOn(nodeId: string): Container[] {
    return [...this.containers.values()].filter((one) => one.nodeId === nodeId)
  }

  #time(): string {
    return new Date(this.#ports.time.now()).toISOString()
  }
}
