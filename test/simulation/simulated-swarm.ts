import type {
  Labels,
  ObjectVersion,
  RawSpec,
  Swarm,
  SwarmConfig,
  SwarmEvent,
  SwarmNode,
  SwarmSecret,
  SwarmService,
  SwarmTask,
} from '../../src/ports/swarm.ts'
import { dig, rawList, rawObject } from '../../src/reconcilers/shared/raw.ts'
import { invalid, judgeContent, judgeNode, judgeSpec, refusal, stored } from './docker-rules.ts'
import { isWanted, type SimulatedTask } from './managed-world.ts'
import { orchestrate } from './orchestrate.ts'
import { aNodeId } from '../support/branded.ts'
import { type NodeId } from '../../src/api/names.ts'

type Mutable<T> = { -readonly [K in keyof T]: T[K] }
type Named = { readonly id: string; readonly name: string; readonly labels: Labels; readonly version: ObjectVersion }

/**
 * A Swarm in memory, with the rules of Docker that decide what a controller may do: versions and the loser's Conflict, taken names, objects in
 * use, constraints that reject running tasks, and which change of a spec starts a new task. Time is the caller's; `settle` lets the
 * managers act until nothing changes.
 *
 * Objects are replaced and never changed in depth, so reads give shallow copies and `fork` is cheap.
 */
export class SimulatedSwarm implements Swarm {
  readonly nodes = new Map<string, Mutable<SwarmNode>>()
  readonly services = new Map<string, Mutable<SwarmService>>()
  readonly configs = new Map<string, Mutable<SwarmConfig>>()
  readonly secrets = new Map<string, Mutable<SwarmSecret> & { readonly data: Uint8Array }>()
  readonly tasks = new Map<string, SimulatedTask>()
  /** Removed services whose containers still exist. */
  readonly leaving = new Map<string, SimulatedTask>()
  /** Names of the networks that there are. */
  readonly networks = new Set(['guests', 'user'])
  /** Raft's counter: every accepted write raises it. */
  writes = 0
  /** Called before each write is judged: here another writer, or a fault, comes in between. */
  beforeWrite: (what: string) => void = () => {}
  /** Called after each write with what an event stream would say of it. */
  afterWrite: (event: SwarmEvent) => void = () => {}
  /** Called whenever the managers have acted. */
  onSettled: () => void = () => {}
  /** Tasks are only made and asked to end here, and somebody else says when their containers run and are gone; otherwise both happen at once. */
  tasksTakeTime = false
  api = '1.41'
  /** The part of a spec that dockerd keeps. */
  storing: (spec: RawSpec) => RawSpec = stored
  readonly #now: () => number
  readonly #starts = new Map<string, number>()
  #ids = 0

  constructor(now: () => number) {
    this.#now = now
  }

  addNode(hostname: string, labels: Labels = {}, memoryBytes = 8 * 1024 ** 3): NodeId {
    const id = aNodeId(`node-${hostname}`)
    const version = this.#write()
    const spec = { Name: `${hostname}-name`, Role: 'worker', Availability: 'active', Labels: labels }
    this.nodes.set(id, {
      id,
      version,
      hostname,
      labels,
      role: 'worker',
      availability: 'active',
      state: 'ready',
      memoryBytes,
      nanoCpus: 4e9,
      spec,
    })
    return id
  }

  service(name: string): SwarmService | undefined {
    return [...this.services.values()].find((one) => one.name === name)
  }

  /** The task that Swarm wants running. */
  running(name: string): SwarmTask | undefined {
    return this.tasksOf(name).find(isWanted)
  }

  /** How many of a service's tasks were given to a node: of those that were one too many none is listed any more. */
  starts(serviceId: string): number {
    return this.#starts.get(serviceId) ?? 0
  }

  /** The listed tasks of a service, the oldest first. */
  tasksOf(name: string): SwarmTask[] {
    const service = this.service(name)
    return [...this.tasks.values()].filter((one) => one.serviceId === service?.id)
  }

  config(name: string): SwarmConfig | undefined {
    return [...this.configs.values()].find((one) => one.name === name)
  }

  /** A person with the docker CLI: reads the present version and writes. */
  edit(name: string, change: (spec: Record<string, unknown>) => void): void {
    const service = this.service(name)
    if (service === undefined) throw new Error(`no service ${name}`)
    const spec = structuredClone(service.spec) as Record<string, unknown>
    change(spec)
    this.#replaceService(service.id, spec)
    this.#committed('service', 'update', service.id, name)
  }

  editNodeLabels(id: string, change: (labels: Record<string, string>) => void): void {
    const node = this.#need('node', this.nodes, id)
    const labels = { ...node.labels }
    change(labels)
    this.#replaceNode(node, { ...node.spec, Labels: labels })
  }

  async listNodes(): Promise<readonly SwarmNode[]> {
    return [...this.nodes.values()].map((one) => ({ ...one }))
  }

  async updateNodeLabels(seen: SwarmNode, labels: Labels): Promise<void> {
    this.beforeWrite('updateNodeLabels')
    judgeNode(seen.spec)
    const node = this.#current(this.#need('node', this.nodes, seen.id), seen.version)
    this.#replaceNode(node, { ...seen.spec, Labels: labels })
  }

  async listServices(label?: string): Promise<readonly SwarmService[]> {
    return labelled(this.services, label)
  }

  async getService(nameOrId: string): Promise<SwarmService | undefined> {
    const found = this.services.get(nameOrId) ?? this.service(nameOrId)
    return found && { ...found }
  }

  async createService(spec: RawSpec): Promise<string> {
    this.beforeWrite('createService')
    const name = String(spec['Name'])
    judgeSpec(spec, this)
    if (this.service(name) !== undefined)
      throw refusal(409, `rpc error: code = AlreadyExists desc = name conflicts with an existing object: service ${name} already exists`)
    const id = this.#id('service')
    const kept = this.storing(spec)
    this.services.set(id, { id, version: this.#write(), name, labels: labelsOf(kept), spec: kept })
    this.#committed('service', 'create', id, name)
    return id
  }

  async updateService(id: string, version: ObjectVersion, spec: RawSpec): Promise<void> {
    this.beforeWrite('updateService')
    const service = this.#need('service', this.services, id)
    const { name } = service
    judgeSpec(spec, this)
    judgeChange(service.spec, spec)
    this.#current(service, version)
    this.#replaceService(id, spec)
    this.#committed('service', 'update', id, name)
  }

  async removeService(id: string): Promise<void> {
    this.beforeWrite('removeService')
    const { name } = this.#need('service', this.services, id)
    this.#write()
    this.services.delete(id)
    for (const task of this.tasks.values()) if (task.serviceId === id) this.#dropTask(task)
    this.#committed('service', 'remove', id, name)
  }

  async listTasks(filter: { readonly serviceId?: string; readonly nodeId?: string }): Promise<readonly SwarmTask[]> {
    const { serviceId, nodeId } = filter
    if (serviceId !== undefined) this.#need('service', this.services, serviceId)
    if (nodeId !== undefined) this.#need('node', this.nodes, nodeId)
    const all = [...this.tasks.values()].filter(
      (one) => (serviceId ?? one.serviceId) === one.serviceId && (nodeId ?? one.nodeId) === one.nodeId,
    )
    return all.map((one) => ({ ...one }))
  }

  async listConfigs(label: string): Promise<readonly SwarmConfig[]> {
    return labelled(this.configs, label)
  }

  async getConfig(name: string): Promise<SwarmConfig | undefined> {
    const found = this.config(name)
    return found && { ...found }
  }

  async createConfig(name: string, labels: Labels, data: Uint8Array): Promise<string> {
    this.beforeWrite('createConfig')
    judgeContent('config', name, data)
    this.#freeName('config', this.configs, name)
    const id = this.#id('config')
    this.configs.set(id, { id, version: this.#write(), name, labels, data, createdAt: this.#time() })
    this.#committed('config', 'create', id, name)
    return id
  }

  async updateConfigLabels(seen: SwarmConfig, labels: Labels): Promise<void> {
    this.beforeWrite('updateConfigLabels')
    const config = this.#need('config', this.configs, seen.id)
    if (seen.name !== config.name || !sameBytes(seen.data, config.data)) throw invalid('only updates to Labels are allowed')
    this.#current(config, seen.version)
    // Returned objects are never mutated, because readers memoise by identity.
    this.configs.set(config.id, { ...config, labels, version: this.#write() })
    this.#committed('config', 'update', config.id, config.name)
  }

  async removeConfig(id: string): Promise<void> {
    this.beforeWrite('removeConfig')
    const config = this.#need('config', this.configs, id)
    this.#unused('config', config)
    this.#write()
    this.configs.delete(id)
    this.#committed('config', 'remove', id, config.name)
  }

  async listSecrets(label: string): Promise<readonly SwarmSecret[]> {
    return labelled(this.secrets, label).map(({ data: _data, ...rest }) => rest)
  }

  async createSecret(name: string, labels: Labels, data: Uint8Array): Promise<string> {
    this.beforeWrite('createSecret')
    judgeContent('secret', name, data)
    this.#freeName('secret', this.secrets, name)
    const id = this.#id('secret')
    this.secrets.set(id, { id, version: this.#write(), name, labels, data, createdAt: this.#time() })
    this.#committed('secret', 'create', id, name)
    return id
  }

  async removeSecret(id: string): Promise<void> {
    this.beforeWrite('removeSecret')
    const secret = this.#need('secret', this.secrets, id)
    this.#unused('secret', secret)
    this.#write()
    this.secrets.delete(id)
    this.#committed('secret', 'remove', id, secret.name)
  }

  async apiVersion(): Promise<string> {
    return this.api
  }

  // biome-ignore lint/correctness/useYield: a stream without events is one.
  async *events(): AsyncIterable<SwarmEvent> {}

  /** Managers act: tasks that no longer may run are rejected, wanted ones are made and started, the others are shut down. */
  settle(): void {
    const { nodes, tasks, leaving, tasksTakeTime } = this
    const onPlaced = ({ serviceId }: SimulatedTask): void => void this.#starts.set(serviceId, this.starts(serviceId) + 1)
    const world = { nodes, tasks, leaving, tasksTakeTime, newId: () => this.#id('task'), onPlaced, now: this.#time() }
    for (const service of this.services.values()) orchestrate(world, service)
    this.onSettled()
  }

  /** The current Swarm, for reads that are answered from an old state. Writes to it are lost. */
  fork(): SimulatedSwarm {
    const copy = new SimulatedSwarm(this.#now)
    for (const [id, one] of this.nodes) copy.nodes.set(id, { ...one })
    for (const [id, one] of this.services) copy.services.set(id, { ...one })
    for (const [id, one] of this.configs) copy.configs.set(id, { ...one })
    for (const [id, one] of this.secrets) copy.secrets.set(id, { ...one })
    for (const [id, one] of this.tasks) copy.tasks.set(id, { ...one })
    copy.api = this.api
    return copy
  }

  /** Managers see that a node went or came, or that somebody changed its availability. */
  changeNode(id: string, change: Partial<Pick<SwarmNode, 'state' | 'availability'>>): void {
    const node = this.#need('node', this.nodes, id)
    const Availability = change.availability ?? node.availability
    Object.assign(node, change, { spec: { ...node.spec, Availability }, version: this.#write() })
    this.#committed('node', 'update', id, node.hostname)
  }

  /** `docker node rm`: its tasks are listed no more. */
  removeNode(id: string): void {
    const { hostname } = this.#need('node', this.nodes, id)
    this.#write()
    this.nodes.delete(id)
    for (const task of this.tasks.values()) if (task.nodeId === id) this.tasks.delete(task.id)
    this.#committed('node', 'remove', id, hostname)
  }

  #dropTask(task: SimulatedTask): void {
    this.tasks.delete(task.id)
    if (this.tasksTakeTime && task.nodeId !== undefined) this.leaving.set(task.id, task)
  }

  /** A container is gone: what its task reserved is free, and a task that waits for it may be placed. */
  containerEnded(taskId: string): void {
    this.leaving.delete(taskId)
    if ([...this.tasks.values()].some((one) => one.nodeId === undefined && isWanted(one))) this.settle()
  }

  #replaceService(id: string, spec: RawSpec): void {
    const service = this.#need('service', this.services, id)
    const kept = this.storing(spec)
    this.services.set(id, { ...service, previousSpec: service.spec, spec: kept, labels: labelsOf(kept), version: this.#write() })
  }

  #replaceNode(node: Mutable<SwarmNode>, spec: RawSpec): void {
    Object.assign(node, { labels: labelsOf(spec), availability: spec['Availability'], spec, version: this.#write() })
    this.#committed('node', 'update', node.id, node.hostname)
  }

  #committed(type: SwarmEvent['type'], action: string, id: string, name: string): void {
    if (type === 'service' || type === 'node') this.settle()
    this.afterWrite({ type, action, id, name })
  }

  #unused(what: 'config' | 'secret', object: Named): void {
    const [list, key] = what === 'config' ? ['Configs', 'ConfigID'] : ['Secrets', 'SecretID']
    const uses = ({ spec }: SwarmService): boolean =>
      rawList(dig(spec, 'TaskTemplate', 'ContainerSpec', list)).some((reference) => rawObject(reference)[key] === object.id)
    const users = [...this.services.values()].filter(uses).map((one) => one.name)
    if (users.length === 0) return
    throw invalid(`${what} '${object.name}' is in use by the following service${users.length === 1 ? '' : 's'}: ${users.join(', ')}`)
  }

  #freeName(what: 'config' | 'secret', objects: ReadonlyMap<string, Named>, name: string): void {
    if ([...objects.values()].some((one) => one.name === name))
      throw refusal(409, `rpc error: code = AlreadyExists desc = ${what} ${name} already exists`)
  }

  #current<T extends { readonly version: ObjectVersion }>(object: T, version: ObjectVersion): T {
    if (object.version !== version) throw refusal(500, 'rpc error: code = Unknown desc = update out of sequence')
    return object
  }

  #need<T>(what: string, objects: ReadonlyMap<string, T>, id: string): T {
    const found = objects.get(id)
    if (found === undefined) throw refusal(404, `${what} ${id} not found`)
    return found
  }

  #write(): ObjectVersion {
    this.writes += 1
    return this.writes
  }

  #id(kind: string): string {
    this.#ids += 1
    return `${kind}-${String(this.#ids).padStart(4, '0')}`
  }

  #time(): string {
    return new Date(this.#now()).toISOString()
  }
}

function judgeChange(from: RawSpec, to: RawSpec): void {
  const modeOf = (spec: RawSpec): string | undefined => Object.keys(rawObject(spec['Mode']))[0]
  if (modeOf(from) !== modeOf(to)) throw refusal(501, 'rpc error: code = Unimplemented desc = service mode change is not allowed')
  if (from['Name'] !== to['Name']) throw refusal(501, 'rpc error: code = Unimplemented desc = renaming services is not supported')
}

function sameBytes(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0
}

function labelsOf(spec: RawSpec): Labels {
  return rawObject(spec['Labels']) as Labels
}

function labelled<T extends { readonly labels: Labels }>(objects: ReadonlyMap<string, T>, label?: string): T[] {
  const [key, value] = (label ?? '').split(/=(.*)/s)
  const has = (one: T): boolean => key === undefined || key === '' || (value === undefined ? key in one.labels : one.labels[key] === value)
  return [...objects.values()].filter(has).map((one) => ({ ...one }))
}
