import { stringify } from 'yaml'
import { canonicalJson } from '../../src/api/hash.ts'
import { objectLabels } from '../../src/api/labels.ts'
import type { InstanceRecord } from '../../src/api/wire/agent-api.ts'
import { isUid, nodeIdOf, type VmUid } from '../../src/api/names.ts'
import type { ControllerActions } from '../../src/ports/controller-actions.ts'
import type { ClusterSettings } from '../../src/ports/settings.ts'
import type { StatusView } from '../../src/ports/status-view.ts'
import { type PlacementRecord, readPlacementRecord } from '../../src/reconcilers/shared/placement-record.ts'
import { Boundary, type Life } from './boundary.ts'
import { aManifest, aVm, settings as someSettings, type SpecChanges } from './cluster.ts'
import { liveController, removalGraceMs } from './controller-life.ts'
import { replicasOf, templateOf } from './docker-rules.ts'
import { type EventStreams, eventStreams } from './event-streams.ts'
import type { Fault } from './faults.ts'
import {
  type Background,
  diskDeleted,
  diskKept,
  diskReplaced,
  type InvariantName,
  laws,
  newestDisk,
  oneWriter,
  slotKept,
  startedAlone,
  startedRightly,
  type Violation,
  type Write,
} from './invariants.ts'
import { Machines } from './machines.ts'
import { type SeededRandom, seededRandom } from './seeded-random.ts'
import { SimulatedConfigs, SimulatedDirectory, type SimulatedSource } from './simulated-source.ts'
import { SimulatedSwarm } from './simulated-swarm.ts'
import { Truth } from './truth.ts'
import { VirtualTime } from './virtual-time.ts'
import { aVmName, recordOf, serviceOf } from '../support/branded.ts'

/** How long a guest may count as running after its last packet: a run every 10 s, and a call that hangs for 15 s. */
const evidenceMs = 30_000

/** A Swarm with nodes, agents, brokers, guests and sources, and one or more controllers that work on it. */
export class World {
  readonly time = new VirtualTime()
  readonly startedMs = this.time.now()
  readonly random: SeededRandom
  readonly swarm = new SimulatedSwarm(() => this.time.now())
  readonly machines: Machines
  readonly sources: readonly SimulatedSource[]
  readonly truth = new Truth(removalGraceMs)
  readonly boundary: Boundary
  readonly streams: EventStreams
  readonly trace: string[] = []
  /** By id, as it was when somebody else made it. */
  readonly foreign = new Map<string, string>()
  /** VMs whose record a person removed. */
  readonly unrecorded = new Set<string>()
  readonly uids = new Map<string, Set<string>>()
  /** By VM: generations that its service ever carried, and since when. */
  readonly written = new Map<string, Map<string, number>>()
  /** By VM: when its template was last written, which starts another guest. */
  readonly #restartedMs = new Map<string, number>()
  /** PCI slots, by TAP, and by VM and disk. */
  readonly #slots = new Map<string, string>()
  /** By uid, when a node last took its grant back. */
  readonly #revokedMs = new Map<string, number>()
  settings: ClusterSettings = someSettings
  violation: Violation | undefined
  /** Nothing that befell it lasts longer. */
  troubleUntilMs = this.startedMs
  /** When a controller last tried to change something. */
  lastWriteMs = this.startedMs
  clockOffsetMs = 0
  readonly #lives: { readonly life: Life; readonly view: StatusView; readonly actions: ControllerActions }[] = []
  #started = 0
  #watchReadyUntilMs = 0
  #lastStartMs = 0

  readonly faults: readonly Fault[]

  constructor(seed: number, faults: readonly Fault[], sources: readonly string[] = ['directory']) {
    const random = seededRandom(seed)
    const { time, swarm } = this
    const onFault = (untilMs: number): void => void (this.troubleUntilMs = Math.max(this.troubleUntilMs, untilMs))
    const trace = (line: string): void => this.note(line)
    this.random = random
    this.faults = faults
    const machineNow = (): number => time.now() + this.clockOffsetMs
    const configs = (): SimulatedConfigs => new SimulatedConfigs(swarm, this.foreign, (id) => this.isForeign(id))
    this.sources = sources.map((name) => (name === 'configs' ? configs() : new SimulatedDirectory(machineNow)))
    this.machines = new Machines({
      swarm,
      time,
      random,
      faults,
      onFault,
      trace,
      stateRoot: this.settings.stateRoot,
      onInternalError: (message) => this.violate('NoInternalError', message),
      onSpawn: (started, others, dueMs) => {
        this.judge(startedAlone(started, others))
        this.judge(slotKept(started, this.#slots))
        this.judge(startedRightly(started, this.time.now(), dueMs, this.#knowsGrants(started.uid)))
      },
      onPowerCut: ({ vm, taskId }) => this.violate('OrderlyEnd', `the guest of ${vm} in ${taskId} ran and lost its power`),
      onHold: (taken, others) => {
        this.judge(oneWriter(taken, others, this.#lastStartMs))
        this.judge(newestDisk(taken, this.machines.disks))
      },
      onDisk: (disk, before) => {
        const { disks, started } = this.machines
        this.judge(before === 'none' ? diskKept(disk, disks, started) : diskReplaced(disk, before))
      },
      onDeleted: (disk, unlink) => this.judge(diskDeleted(disk, unlink, this.record(disk.vm), this.machines.writersOf(disk.vm))),
      onRevoke: (record) => this.#judgeRevoke(record),
      onOrder: (record) => this.#judgeOrder(record),
    })
    this.streams = eventStreams({ time, random, faults, onFault, trace })
    const onCrash = (life: Life): void => this.#died(life)
    this.boundary = new Boundary({
      swarm,
      agents: this.machines,
      time,
      random,
      faults,
      onWrite: (write) => this.#wrote(write),
      onAttempt: (target) => this.#attempted(target),
      onCrash,
      onFault,
      trace,
    })
    swarm.afterWrite = (event) => {
      this.boundary.written()
      this.streams.publish(event)
    }
  }

  /** A machine joins, and the stack's global service runs an agent there. */
  addNode(hostname: string): void {
    const nodeId = this.machines.add(hostname)
    const { swarm } = this
    const spec = { Name: 'swarmvirt_agent', Labels: { [objectLabels.component]: 'agent' }, TaskTemplate: {}, Mode: { Global: {} } }
    const service = swarm.service(spec.Name) ?? { id: 'service-agent', version: 0, name: spec.Name, labels: spec.Labels, spec }
    swarm.services.set(service.id, service)
    this.isForeign(service.id)
    const task = { slot: undefined, state: 'running', desiredState: 'running', message: 'started', error: '', exitCode: undefined }
    const rest = {
      containerId: `agent-${hostname}`,
      addresses: {},
      template: '',
      constraints: '',
      updatedAt: '2026-01-01T00:00:00Z',
    }
    const id = `task-agent-${hostname}`
    swarm.tasks.set(id, { id, serviceId: service.id, nodeId: nodeIdOf(nodeId), ...task, ...rest })
  }

  /** The run is over: whatever waits may be forgotten. */
  forget(): void {
    for (const { life } of this.#lives) {
      life.alive = false
      life.over.abort(new Error('the run is over'))
    }
    for (const machine of this.machines.nodes.values()) machine.forget()
  }

  note(line: string): void {
    this.trace.push(`${this.elapsedMs()} ${line}`)
  }

  judge(violation: Violation | undefined): void {
    this.violation ??= violation
  }

  violate(invariant: InvariantName, message: string): void {
    this.judge({ invariant, message })
  }

  /** Another controller begins, beside those that live. */
  startController(): Life {
    this.#started += 1
    this.#lastStartMs = this.time.now()
    const life: Life = { number: this.#started, alive: true, seen: new Map(), over: new AbortController() }
    this.note(`controller ${life.number} starts`)
    const { boundary, streams, sources, time, random, settings } = this
    const { view, actions } = liveController(life, {
      boundary,
      streams,
      sources,
      time,
      offsetMs: () => this.clockOffsetMs,
      random,
      settings,
      onReady: (vm) => void time.after(0, () => this.#judgeReady(life, view, vm)),
      onInternalError: (message) => this.violate('NoInternalError', message),
    })
    this.#lives.push({ life, view, actions })
    return life
  }

  /** The machines that are alive. */
  views(): StatusView[] {
    return this.#lives.filter(({ life }) => life.alive).map(({ view }) => view)
  }

  lives(): Life[] {
    return this.#lives.map(({ life }) => life).filter((one) => one.alive)
  }

  /** Nobody starts another. */
  stopControllers(): void {
    for (const { life } of this.#lives) life.alive = false
  }

  crash(life: Life): void {
    life.alive = false
    this.#died(life)
  }

  /** Milliseconds since the beginning. */
  elapsedMs(): number {
    return this.time.now() - this.startedMs
  }

  source(index = 0): SimulatedSource {
    const found = this.sources[index]
    if (found === undefined) throw new Error(`there is no source ${index}`)
    return found
  }

  /** An operator writes a valid manifest. */
  declare(name: string, spec: SpecChanges = {}, source = 0, file = `${name}.yaml`): void {
    const { vm, generation, text } = manifestOf(name, spec)
    this.truth.declared(name, vm, generation, this.time.now())
    this.#watchReadyUntilMs = this.time.now() + 600
    this.source(source).put(file, { text, name })
  }

  /** An editor writes a manifest in place: all but its last line first, and the whole some time later. */
  declareInTwoSteps(name: string, spec: SpecChanges, gapMs: number): void {
    const { text } = manifestOf(name, spec)
    this.directory.putBeginning(`${name}.yaml`, text.slice(0, text.lastIndexOf('\n', text.length - 2)))
    this.troubleUntilMs = Math.max(this.troubleUntilMs, this.time.now() + gapMs)
    this.time.after(gapMs, () => this.declare(name, spec, this.sources.indexOf(this.directory)))
  }

  /** An operator breaks a manifest. */
  spoil(name: string, source = 0): void {
    this.truth.broken(name, this.time.now())
    this.source(source).put(`${name}.yaml`, { text: manifestOf(name, {}).text.replace('memory:', 'memoery:'), name })
  }

  /** The first of the sources that are directories. */
  get directory(): SimulatedDirectory {
    const found = this.sources.find((one) => one instanceof SimulatedDirectory)
    if (found === undefined) throw new Error('there is no directory')
    return found
  }

  /** An operator deletes a manifest. */
  withdraw(name: string, source = 0, file = `${name}.yaml`): void {
    this.source(source).remove(file)
    if (!this.sources.some((one) => [...one.files.values()].some((each) => each.name === name))) {
      this.truth.gone(name, this.time.now(), this.source(source).files.size === 0)
    }
    if (!this.sources.every((one) => one.unreadable === '')) this.truth.unreadable(this.time.now())
  }

  /** `docker vm confirm-removal`, of whichever controller is asked; `everybody`: those that live know of it. */
  confirmRemoval(names: readonly string[], heardBy: 'everybody' | 'one' = 'everybody'): void {
    const lives = this.#lives.filter(({ life }) => life.alive)
    const asked = heardBy === 'one' ? lives.slice(0, 1) : lives
    const answers = asked.map(({ actions }) => actions.confirmRemoval(names.map(aVmName)).kind)
    if (answers.includes('confirmed')) for (const name of names) this.truth.confirm(name, this.time.now())
  }

  /** Why its removal waits, as every controller that lives says it. */
  isWithheld(name: string, views = this.views()): boolean {
    return views.every((view) => view.vm(name)?.conditions.some((one) => one.reason === 'RemovalWithheld') === true)
  }

  setUnreadable(source: SimulatedSource, message: string): void {
    source.fail(message)
    if (message !== '') this.truth.unreadable(this.time.now())
    else if (this.sources.every((one) => one.unreadable === '')) this.truth.readable(this.time.now())
  }

  /** A person changes a VM's service; `restarts` where that starts another task, or is a wish for one. */
  editService(name: string, change: (spec: Record<string, unknown>) => void, restarts: boolean): void {
    if (this.swarm.service(serviceOf(name)) === undefined) return
    if (restarts) this.truth.owesRestart(name)
    this.swarm.edit(serviceOf(name), change)
  }

  /** After an edit nobody repeats that a VM is Ready, yet it must never be Ready for the wrong generation. */
  watchReady(): void {
    if (this.time.now() <= this.#watchReadyUntilMs) this.judgeReady()
  }

  /** The conditions at this moment, whenever they were first reported. */
  judgeReady(): void {
    for (const { life, view } of this.#lives) {
      for (const name of this.truth.vms.keys()) {
        this.#judgeReady(life, view, name)
        if (life.alive) this.#judgeObserved(view, name)
      }
    }
  }

  record(name: string): PlacementRecord | undefined {
    const config = this.swarm.config(recordOf(name))
    return config === undefined ? undefined : readPlacementRecord(config)
  }

  /** Somebody else made it: nobody of ours may touch it from now on. */
  isForeign(id: string): void {
    this.foreign.set(id, this.#objectNow(id))
  }

  #objectNow(id: string): string {
    const { services, configs, secrets } = this.swarm
    const found = services.get(id) ?? configs.get(id) ?? secrets.get(id)
    return found === undefined ? 'gone' : canonicalJson({ ...found, data: 'data' in found ? new TextDecoder().decode(found.data) : null })
  }

  #judgeRevoke({ uid, vm, cluster }: InstanceRecord): void {
    this.#revokedMs.set(uid, this.time.now())
    if (cluster !== this.settings.cluster)
      return this.violate('ForeignUntouched', `the grant of ${uid}, of cluster ${cluster}, was revoked`)
    if (vm !== null && this.truth.mayBeRemoved(vm, this.time.now())) return
    this.violate('RemovalJustified', `the grant of ${vm} was revoked, and the VM is ${this.truth.of(vm ?? '')?.state ?? 'unknown'}`)
  }

  #judgeOrder({ uid, cluster }: InstanceRecord): void {
    if (cluster !== this.settings.cluster) this.violate('ForeignUntouched', `an agent was ordered to prepare ${uid}, of cluster ${cluster}`)
  }

  #died(life: Life): void {
    this.note(`controller ${life.number} dies`)
    this.troubleUntilMs = Math.max(this.troubleUntilMs, this.time.now() + 1_000)
    this.time.after(1_000, () => void this.startController())
  }

  #wrote(write: Write): void {
    const background: Background = {
      truth: this.truth,
      foreign: this.foreign,
      objectNow: (id) => this.#objectNow(id),
      uids: this.uids,
      isBeingDeleted: (vm) => this.record(vm)?.deletingAt !== undefined,
      staysGranted: (uid) => this.#staysGranted(uid),
      liveContainers: (vm) => this.machines.writersOf(vm).length,
      isForgotten: (vm) =>
        this.unrecorded.has(vm) && !this.machines.disks.some((one) => one.vm === vm) && this.swarm.service(serviceOf(vm)) === undefined,
      recordUid: (vm) => this.record(vm)?.uid,
      objects: () => [...this.swarm.configs.values(), ...this.swarm.secrets.values()],
    }
    const vm = write.after?.labels[objectLabels.vm]
    const generation = write.after?.labels[objectLabels.generation]
    if (vm !== undefined && isNewTemplate(write)) this.#restartedMs.set(vm, this.time.now())
    if (vm !== undefined && generation !== undefined) this.#noteGeneration(vm, generation)
    for (const law of laws) this.judge(law(write, background))
  }

  /**
   * A controller that requests the lease is answered when its holder learns of it. Without events that takes as long as the slow resync,
   * and the request is obsolete by then. Only a repeated request counts as a write.
   */
  #attempted(target: string): void {
    if (this.swarm.configs.get(target)?.labels[objectLabels.leaseWaiting] === undefined) this.lastWriteMs = this.time.now()
  }

  #staysGranted(uid: string): boolean {
    if (this.time.now() - (this.#revokedMs.get(uid) ?? Number.NEGATIVE_INFINITY) < 5_000) return false
    return [...this.machines.nodes.values()].some((one) => this.swarm.nodes.has(one.nodeId) && isUid(uid) && one.isGranted(uid))
  }

  /** False while the grant may be known to the broker and lie in no file, or the other way round. */
  #knowsGrants(uid: VmUid): boolean {
    return (
      this.time.now() - (this.#revokedMs.get(uid) ?? Number.NEGATIVE_INFINITY) > 10_000 && this.faults.every((one) => one.kind !== 'step')
    )
  }

  #noteGeneration(vm: string, generation: string): void {
    const known = this.written.get(vm) ?? new Map<string, number>()
    this.written.set(vm, known)
    if (!known.has(generation)) known.set(generation, this.time.now())
  }

  /** A VM that has a service is acted on when that carries the generation. */
  #judgeObserved(view: StatusView, name: string): void {
    const vm = view.vm(name)
    const said = vm?.observedGeneration ?? ''
    const isReady = vm?.conditions.some((one) => one.type === 'ServiceReady' && one.status === 'True') === true
    if (said === '' || !isReady || this.written.get(name)?.has(said) === true) return
    this.violate('ObservedActed', `observedGeneration of ${name} is ${said}, which was never written to its service`)
  }

  #judgeReady(life: Life, view: StatusView, name: string): void {
    const vm = view.vm(name)
    const ready = vm?.conditions.find((one) => one.type === 'Ready')
    if (!life.alive || ready?.status !== 'True') return
    // Behind NAT no guest is on the LAN, and without a readiness probe Ready only means that its QEMU runs.
    if (vm?.nics?.[0]?.kind === 'user') return
    const sinceMs = this.time.now() - evidenceMs
    const heard = this.machines.guests.filter((one) => one.vm === name && (one.toMs ?? Number.POSITIVE_INFINITY) >= sinceMs)
    // Two machines that answer with the same MAC look alike. OneMac reports that there are two.
    const hasTwin = this.machines.hasTwin(name)
    if (heard.length === 0 && !hasTwin)
      this.violate('ReadyProven', `${name} is said to be Ready, and no guest of it was on the LAN since ${evidenceMs} ms`)
    const task = vm?.facts['task']
    if (task !== undefined && !hasTwin && !heard.some((one) => one.taskId === task))
      this.violate('ReadyProven', `${name} is said to be Ready in task ${task}, and no guest of that task was on the LAN`)
    const said = `${name} is said to be Ready with generation ${ready.observedGeneration}`
    const writtenMs = this.written.get(name)?.get(ready.observedGeneration)
    if (writtenMs === undefined) return this.violate('ReadyProven', `${said}, which was never written to its service`)
    const restartedMs = this.#restartedMs.get(name) ?? 0
    if (hasTwin || writtenMs < restartedMs || heard.some((one) => one.fromMs >= restartedMs)) return
    this.violate('ReadyProven', `${said}, and no guest was seen since the template of it was written`)
  }
}

function isNewTemplate({ call, before, after }: Write): boolean {
  if (call !== 'updateService' || before?.spec === undefined || after?.spec === undefined) return false
  return replicasOf(before.spec) > 0 && replicasOf(after.spec) > 0 && templateOf(before.spec) !== templateOf(after.spec)
}

type Manifest = Pick<ReturnType<typeof aVm>, 'vm' | 'generation'> & { readonly text: string }
const manifests = new Map<string, Manifest>()

/** Parsing is the same for every run, so each manifest is parsed once. */
function manifestOf(name: string, spec: SpecChanges): Manifest {
  const key = JSON.stringify([name, spec])
  const known = manifests.get(key)
  if (known !== undefined) return known
  const made = { ...aVm(name, spec), text: stringify(aManifest(name, spec)) }
  manifests.set(key, made)
  return made
}
