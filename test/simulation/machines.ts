import { canonicalJson } from '../../src/api/hash.ts'
import { objectLabels } from '../../src/api/labels.ts'
import { byText } from '../../src/api/order.ts'
import { tapName, type VmName, type VmUid } from '../../src/api/names.ts'
import type { InstanceRecord, PrepareOrder, PrepareStatus, ProbeOutcome, ProbeRequest, VmStatus } from '../../src/api/wire/agent-api.ts'
import type { DeleteDisksOrder, DeletionStatus } from '../../src/api/wire/delete-disks.ts'
import type { RunnerPhase } from '../../src/api/wire/runner-control.ts'
import type { Agent, Agents } from '../../src/ports/agents.ts'
import { PortError } from '../../src/ports/errors.ts'
import type { Clock } from '../../src/ports/clock.ts'
import { dig, rawList } from '../../src/reconcilers/shared/raw.ts'
import type { SeededRandom } from './seeded-random.ts'
import { factsOf, SimulatedAgent, unreached } from './simulated-agents.ts'
import { isWanted, type SimulatedTask } from './orchestrate.ts'
import type { SimulatedSwarm } from './simulated-swarm.ts'

/** A container is a fact of its own: what Swarm says of its task proves nothing about it. */
export interface Container {
  readonly taskId: string
  readonly nodeId: string
  readonly vm: VmName
  readonly uid: VmUid
  /** Of all its NICs. */
  readonly macs: readonly string[]
  /** The accelerator and NICs of its launch config. */
  readonly machine: string
  readonly startedMs: number
  phase: RunnerPhase
  /** The broker's lease of the VM: it has the disk open and a TAP. */
  holds: boolean
  /** It was asked to end, and when. */
  ending: boolean
  endingMs: number
  /** It has its address and answers. */
  isOnLan: boolean
  gone: boolean
}

/** A guest that ran and was heard on the LAN. */
export interface Guest {
  readonly vm: VmName
  readonly taskId: string
  readonly fromMs: number
  toMs: number | undefined
}

export interface Disk {
  readonly vm: VmName
  readonly uid: VmUid
  readonly nodeId: string
  /** An old state of it, restored from a backup. */
  readonly isCopy?: true
}

export interface MachinesPorts {
  readonly swarm: SimulatedSwarm
  readonly time: Clock
  readonly random: SeededRandom
  /** A container took the lease of its VM. */
  readonly onHold: (container: Container, others: readonly Container[]) => void
  readonly onDisk: (disk: Disk) => void
  readonly onDeleted: (disk: Disk) => void
  /** An agent is about to take the grant of this instance away. */
  readonly onRevoke: (record: InstanceRecord) => void
  /** An agent is given an order for this instance, which is there already. */
  readonly onOrder: (record: InstanceRecord) => void
}

/** The nodes below the Swarm: containers, brokers with their leases, agents, disks, guests and the LAN. */
export class Machines implements Agents {
  readonly nodes = new Map<string, Machine>()
  readonly containers = new Map<string, Container>()
  /** All that there are. */
  readonly disks: Disk[] = []
  readonly guests: Guest[] = []
  /** Milliseconds a container lives on after Swarm gave it up. */
  lingerMs: () => number = () => this.#ports.random.int(200, 4_000)
  /** False makes brokers give a second runner the disk as well; only to see that it would be noticed. */
  leases = true
  /** Something else than a controller ended a guest. */
  wasInterrupted = false
  readonly #ports: MachinesPorts
  readonly #starting = new Set<string>()
  readonly #heard = new Map<string, { readonly nodeId: string; readonly ip: string; readonly atMs: number }>()

  constructor(ports: MachinesPorts) {
    this.#ports = ports
    ports.swarm.tasksTakeTime = true
    ports.swarm.onSettled = () => this.#follow()
  }

  add(hostname: string): string {
    const id = this.#ports.swarm.addNode(hostname)
    this.nodes.set(id, new Machine(hostname, id, this, this.#ports))
    return id
  }

  machine(nodeId: string): Machine {
    const found = this.nodes.get(nodeId)
    if (found === undefined) throw new Error(`no machine ${nodeId}`)
    return found
  }

  on(nodeId: string): Agent {
    return this.nodes.get(nodeId) ?? Object.assign(new SimulatedAgent(nodeId), { away: true })
  }

  deleted({ uid }: Pick<DeleteDisksOrder, 'uid'>, nodeId: string): void {
    const at = this.disks.findIndex((one) => one.uid === uid && one.nodeId === nodeId)
    for (const disk of at < 0 ? [] : this.disks.splice(at, 1)) this.#ports.onDeleted(disk)
  }

  /** Those with the disk of this VM open. */
  writersOf(vm: VmName): Container[] {
    return [...this.containers.values()].filter((one) => one.vm === vm && one.holds)
  }

  /** The power goes: containers are gone at once, and nobody can say so. */
  powerOff(nodeId: string): void {
    this.wasInterrupted = true
    this.machine(nodeId).isUp = false
    for (const one of this.#containersOn(nodeId)) this.#end(one)
  }

  powerOn(nodeId: string): void {
    const { swarm, time } = this.#ports
    this.machine(nodeId).isUp = true
    for (const task of swarm.tasks.values()) {
      if (task.nodeId !== nodeId || this.containers.has(task.id) || !['running', 'preparing', 'starting'].includes(task.state)) continue
      Object.assign(task, { state: 'failed', desiredState: 'shutdown', error: 'No such container', updatedAt: this.#time() })
    }
    time.after(1_000, () => swarm.settle())
  }

  /** The runner of a VM dies with its guest, and Swarm starts another. */
  crash(vm: VmName): void {
    const { swarm, time } = this.#ports
    for (const one of this.containers.values()) {
      if (one.vm !== vm || one.ending) continue
      this.#end(one)
      const task = swarm.tasks.get(one.taskId)
      if (task !== undefined)
        Object.assign(task, {
          state: 'failed',
          desiredState: 'shutdown',
          error: 'task: non-zero exit (1)',
          exitCode: 1,
          updatedAt: this.#time(),
        })
    }
    time.after(1_000, () => swarm.settle())
  }

  /** Whoever waits for the broker, a grant or a predecessor looks again. */
  retry(nodeId: string): void {
    for (const one of this.#containersOn(nodeId)) if (!one.holds) this.#acquire(one)
  }

  addressOf(mac: string): { readonly nodeId: string; readonly ip: string; readonly atMs: number } | undefined {
    return this.#heard.get(mac)
  }

  answering(ip: string): Container | undefined {
    return [...this.containers.values()].find((one) => one.isOnLan && one.macs.some((mac) => this.#heard.get(mac)?.ip === ip))
  }

  /** A guest of another VM is on the LAN with its MAC. */
  hasTwin(vm: VmName): boolean {
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
      if (one.ending || (task !== undefined && isWanted(task)) || !this.machine(one.nodeId).isConnected) continue
      one.ending = true
      one.endingMs = time.now()
      time.after(this.lingerMs(), () => this.#finish(one))
    }
  }

  #start(taskId: string): void {
    const { swarm, time } = this.#ports
    this.#starting.delete(taskId)
    const task = swarm.tasks.get(taskId)
    const service = swarm.services.get(task?.serviceId ?? '')
    if (task === undefined || service === undefined) return
    const machine = this.machine(task.nodeId ?? '')
    // The node's dockerd hears of it when it is back.
    if (!machine.isUp || !machine.isConnected) return void time.after(1_000, () => this.#start(taskId))
    if (!isWanted(task)) return this.#ended(task)
    const uid = service.labels[objectLabels.uid] ?? ''
    if (!machine.held.has(uid)) {
      const error = `invalid mount config for type "bind": bind source path does not exist: /var/lib/swarmvirt/instances/${uid}`
      Object.assign(task, { state: 'rejected', desiredState: 'shutdown', error, updatedAt: this.#time() })
      this.#prune(service.id)
      return void time.after(1_000, () => swarm.settle())
    }
    const containerId = `container-${taskId}`
    Object.assign(task, { state: 'running', desiredState: 'running', message: 'started', containerId, updatedAt: this.#time() })
    const vm = service.labels[objectLabels.vm] ?? ''
    const made = { taskId, nodeId: machine.nodeId, vm, uid, ...this.#launchOf(service.spec) }
    const container: Container = {
      ...made,
      startedMs: time.now(),
      phase: 'Starting',
      holds: false,
      ending: false,
      endingMs: Number.POSITIVE_INFINITY,
      isOnLan: false,
      gone: false,
    }
    this.containers.set(taskId, container)
    this.#acquire(container)
  }

  #launchOf(spec: unknown): Pick<Container, 'macs' | 'machine'> {
    const id = dig(rawList(dig(spec, 'TaskTemplate', 'ContainerSpec', 'Configs'))[0], 'ConfigID')
    const launch = this.#ports.swarm.configs.get(String(id))
    const parsed = launch === undefined ? {} : (JSON.parse(new TextDecoder().decode(launch.data)) as unknown)
    const macs = rawList(dig(parsed, 'nics')).map((one) => String(dig(one, 'mac')))
    return { macs, machine: machineText({ accelerator: dig(parsed, 'accelerator'), nics: dig(parsed, 'nics') }) }
  }

  /** The broker's decision: one connection for each uid, if the agent granted it. */
  #acquire(one: Container): void {
    const machine = this.machine(one.nodeId)
    const others = [...this.containers.values()].filter((other) => other !== one && other.holds)
    const previous = others.find((other) => other.nodeId === one.nodeId && other.uid === one.uid)
    if (machine.brokerAway) one.phase = 'WaitingForBroker'
    else if (machine.held.get(one.uid)?.granted !== true) one.phase = 'WaitingForGrant'
    else if (previous !== undefined && this.leases) one.phase = 'WaitingForPrevious'
    // The runner refuses a grant that differs from its launch config (runner/lease.ts).
    else if (one.machine !== machineText(machine.grants.get(one.uid) ?? {})) one.phase = 'WaitingForGrant'
    else this.#boot(one, others)
  }

  #boot(one: Container, others: readonly Container[]): void {
    const { time, random, onHold } = this.#ports
    one.holds = true
    one.phase = 'Booting'
    onHold(one, others)
    time.after(random.int(800, 2_500), () => {
      if (one.gone) return
      one.phase = 'Running'
      time.after(random.int(200, 1_200), () => this.#hear(one))
    })
  }

  #hear(one: Container): void {
    const { time } = this.#ports
    if (one.gone) return
    one.isOnLan = true
    for (const mac of one.macs) {
      const ip = this.#heard.get(mac)?.ip ?? `192.168.50.${this.#heard.size + 10}`
      this.#heard.set(mac, { nodeId: one.nodeId, ip, atMs: time.now() })
    }
    this.guests.push({ vm: one.vm, taskId: one.taskId, fromMs: time.now(), toMs: undefined })
  }

  #finish(one: Container): void {
    const { swarm } = this.#ports
    if (one.gone) return
    this.#end(one)
    const task = swarm.tasks.get(one.taskId)
    if (task === undefined) return
    if (task.state === 'running') this.#ended(task)
    this.#prune(task.serviceId)
  }

  /** Its container is gone, or never was. What was one too many is not kept. */
  #ended(task: SimulatedTask): void {
    if (task.desiredState === 'remove') this.#ports.swarm.tasks.delete(task.id)
    else Object.assign(task, { state: 'shutdown', message: 'shutdown', updatedAt: this.#time() })
  }

  #end(one: Container): void {
    one.gone = true
    one.holds = false
    one.phase = 'Stopped'
    this.containers.delete(one.taskId)
    for (const guest of this.guests) if (guest.taskId === one.taskId) guest.toMs ??= this.#ports.time.now()
    this.retry(one.nodeId)
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

/** What runner and grant must agree on. */
function machineText({ accelerator, nics }: { readonly accelerator?: unknown; readonly nics?: unknown }): string {
  const named = rawList(nics).map((one) => `${String(dig(one, 'name'))} ${String(dig(one, 'mac'))}`)
  return canonicalJson([accelerator ?? null, named.toSorted(byText)])
}

/** One node with its agent and broker. */
export class Machine extends SimulatedAgent {
  isUp = true
  /** False while managers and node do not hear of each other; its containers live on. */
  isConnected = true
  brokerAway = false
  imageMissing = false
  diskFull = false
  readonly nodeId: string
  readonly #machines: Machines
  readonly #ports: MachinesPorts
  readonly #readyAtMs = new Map<VmUid, number>()

  constructor(hostname: string, nodeId: string, machines: Machines, ports: MachinesPorts) {
    super(hostname)
    this.nodeId = nodeId
    this.#machines = machines
    this.#ports = ports
    this.nodeFacts = factsOf(hostname)
  }

  override async facts(): ReturnType<SimulatedAgent['facts']> {
    this.#answer()
    const { nodeFacts } = this
    if (this.brokerAway) return { ...nodeFacts, broker: null, brokerMessage: 'connect ENOENT' }
    return this.diskFull ? { ...nodeFacts, disk: { ...nodeFacts.disk, freeBytes: 0 } } : nodeFacts
  }

  override async instances(): ReturnType<SimulatedAgent['instances']> {
    this.#answer()
    return [...this.held.values()].map((one) => ({ ...one }))
  }

  override async prepare(order: PrepareOrder): Promise<PrepareStatus> {
    this.#answer()
    if (this.brokerAway) return { state: 'failed', reason: 'BrokerUnreachable', message: 'connect ENOENT' }
    const there = this.held.get(order.uid)
    if (there !== undefined) this.#ports.onOrder(there)
    if (there === undefined && !order.disksMustExist) {
      if (this.imageMissing) return { state: 'failed', reason: 'ImageMissing', message: 'images/tiny.qcow2 is not there' }
      if (this.diskFull) return { state: 'failed', reason: 'InsufficientDisk', message: '0 bytes are free' }
      const readyAtMs = this.#readyAtMs.get(order.uid) ?? this.#ports.time.now() + this.#ports.random.int(100, 2_000)
      this.#readyAtMs.set(order.uid, readyAtMs)
      if (this.#ports.time.now() < readyAtMs) return { state: 'preparing', reason: 'CopyingImage', message: 'under way' }
    }
    const [granted, grant] = [there?.granted, this.grants.get(order.uid)]
    const status = await super.prepare(order)
    if (status.state !== 'ready') return status
    if (there === undefined) this.#diskMade(order)
    if (granted !== true || machineText(grant ?? {}) !== machineText(order))
      this.#ports.time.after(0, () => this.#machines.retry(this.nodeId))
    return status
  }

  #diskMade(order: PrepareOrder): void {
    const disk = { vm: order.vm, uid: order.uid, nodeId: this.nodeId }
    this.#ports.onDisk(disk)
    this.#machines.disks.push(disk)
  }

  override async revoke(uid: string): Promise<void> {
    this.#answer()
    const there = this.held.get(uid)
    if (there?.granted === true) this.#ports.onRevoke(there)
    return super.revoke(uid)
  }

  override isOn(uid: string): boolean {
    return [...this.#machines.containers.values()].some((one) => one.nodeId === this.nodeId && one.uid === uid && !one.gone)
  }

  override async deleteDisks(order: DeleteDisksOrder): Promise<DeletionStatus> {
    this.#answer()
    if (this.brokerAway) return { state: 'waiting', reason: 'BrokerUnavailable', message: 'connect ENOENT' }
    const status = await super.deleteDisks(order)
    if (status.state === 'gone') this.#machines.deleted(order, this.nodeId)
    return status
  }

  override async vm(uid: string): Promise<VmStatus> {
    this.#answer()
    const runners = [...this.#machines.containers.values()].filter((one) => one.nodeId === this.nodeId && one.uid === uid)
    const record = this.held.get(uid)
    if (record === undefined && runners.length === 0) throw new PortError('NotFound', `no VM ${uid} here`)
    const holder = runners.find((one) => one.holds)
    // Whoever was there first answers on the control socket.
    const runner = holder ?? runners[0]
    const lease = this.brokerAway || runner === undefined ? null : this.#lease(uid, runners, holder)
    const macs = [...new Set([...runners.flatMap((one) => one.macs), ...(this.orders.get(uid)?.nics.map((one) => one.mac) ?? [])])]
    return {
      version: 1,
      uid,
      lease,
      sightings: this.brokerAway ? [] : macs.flatMap((mac) => this.#sighting(mac)),
      runner: runner === undefined ? null : this.#status(runner),
      runnerMessage: runner === undefined ? 'connect ENOENT' : '',
      brokerMessage: this.brokerAway ? 'connect ENOENT' : '',
    }
  }

  #lease(uid: string, runners: readonly Container[], holder: Container | undefined): NonNullable<VmStatus['lease']> {
    const waiting = runners.find((one) => !one.holds)
    const nic =
      holder === undefined
        ? []
        : [{ name: 'lan', tap: tapName(uid, 'lan'), bridge: 'br0', mac: holder.macs[0] ?? '', carrier: true, attached: true }]
    return {
      uid,
      granted: this.held.get(uid)?.granted === true,
      held: holder !== undefined,
      waiting: runners.length - (holder === undefined ? 0 : 1),
      waitReason: waiting === undefined ? null : waiting.phase === 'WaitingForPrevious' ? 'WaitingForPrevious' : 'NoGrant',
      waitMessage: waiting === undefined ? null : waiting.phase,
      guestFilter: { state: 'active', message: '' },
      nics: nic,
    }
  }

  #sighting(mac: string): VmStatus['sightings'] {
    const heard = this.#machines.addressOf(mac)
    if (heard === undefined || heard.nodeId !== this.nodeId) return []
    return [{ mac, ip: heard.ip, via: 'dhcp', interface: 'br0', ageMs: this.#ports.time.now() - heard.atMs }]
  }

  #status(runner: Container): NonNullable<VmStatus['runner']> {
    const isRunning = runner.phase === 'Running' || runner.phase === 'Booting'
    return {
      uid: runner.uid,
      phase: runner.phase,
      message: '',
      accelerator: isRunning ? 'tcg' : null,
      qemuStatus: isRunning ? 'running' : null,
      launchHash: '',
      release: '0.1.0',
      startedAt: new Date(runner.startedMs).toISOString(),
      restarts: 0,
      hardening: { uid: 30702, capEff: '0', capBnd: '0', noNewPrivs: false, seccomp: 2 },
    }
  }

  override async probe(request: ProbeRequest): Promise<ProbeOutcome> {
    this.#answer()
    const found = this.#machines.answering(request.ip)
    if (found === undefined) return unreached
    return { outcome: 'reached', reason: 'Answered', message: '', mac: request.kind === 'arp' ? (found.macs[0] ?? null) : null, rttMs: 0.4 }
  }

  #answer(): void {
    if (this.away || !this.isUp) throw new PortError('Unavailable', `connect ECONNREFUSED`)
  }
}
