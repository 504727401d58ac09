import { canonicalJson } from '../../src/api/hash.ts'
import type { SwarmNode, SwarmService, SwarmTask } from '../../src/ports/swarm.ts'
import { dig, rawList, rawString } from '../../src/reconcilers/shared/raw.ts'
import { constraintsOf, matches, replicasOf, templateOf } from './docker-rules.ts'

export type SimulatedTask = { -readonly [K in keyof SwarmTask]: SwarmTask[K] } & {
  /** What its service looked like when it was made. */
  readonly template: string
  readonly constraints: string
}

export interface ManagedWorld {
  readonly nodes: ReadonlyMap<string, SwarmNode>
  readonly tasks: Map<string, SimulatedTask>
  /** Containers are facts of their own: a task that is asked to end reads `running` until somebody says that its container is gone. */
  readonly tasksTakeTime: boolean
  readonly newId: () => string
  /** A node was found for the task: something will run. */
  readonly onPlaced: (task: SimulatedTask) => void
  /** RFC 3339. */
  readonly now: string
}

/** As many tasks of a slot are listed, the one that counts among them. */
const keptOfSlot = 5

/** What managers do for one service: end the tasks that may not or need not run, and make and start those that are missing. */
export function orchestrate(world: ManagedWorld, service: SwarmService): void {
  if (dig(service.spec, 'Mode', 'Replicated') === undefined) return
  for (const task of wantedTasks(world, service)) judgeTask(world, service, task)
  for (const surplus of byImportance(wantedTasks(world, service)).slice(replicasOf(service.spec))) remove(world, surplus)
  for (const task of wantedTasks(world, service)) if (task.nodeId === undefined) place(world, service, task)
  for (let missing = replicasOf(service.spec) - wantedTasks(world, service).length; missing > 0; missing -= 1)
    place(world, service, makeTask(world, service))
  forgetUnplaced(world, service)
}

function tasksOf({ tasks }: ManagedWorld, service: SwarmService): SimulatedTask[] {
  return [...tasks.values()].filter((one) => one.serviceId === service.id)
}

function wantedTasks(world: ManagedWorld, service: SwarmService): SimulatedTask[] {
  return tasksOf(world, service).filter(isWanted)
}

/** A successor is only `ready` until it is started. */
export function isWanted(task: SwarmTask): boolean {
  return task.desiredState === 'running' || task.desiredState === 'ready'
}

/** Of too many tasks those that run stay, the oldest first. */
function byImportance(tasks: readonly SimulatedTask[]): SimulatedTask[] {
  const rank = (one: SimulatedTask): number => (one.state === 'running' ? 0 : one.nodeId === undefined ? 2 : 1)
  return tasks.toSorted((a, b) => rank(a) - rank(b))
}

function judgeTask(world: ManagedWorld, { spec }: SwarmService, task: SimulatedTask): void {
  const isOther = task.template !== templateOf(spec)
  if (task.nodeId === undefined) {
    // What never had a node counts its constraints too.
    if (isOther || task.constraints !== canonicalJson(constraintsOf(spec)))
      Object.assign(task, { state: 'shutdown', desiredState: 'shutdown', error: '', updatedAt: world.now })
    return
  }
  const node = world.nodes.get(task.nodeId)
  const lost = world.tasksTakeTime && node?.state === 'down'
  if (isOther || node?.availability === 'drain' || lost) end(world, task)
  else if (node === undefined || !matches(spec, node)) reject(world, task)
}

/** Whoever has a container says `running` until that is gone. */
function end({ now, tasksTakeTime }: ManagedWorld, task: SimulatedTask): void {
  Object.assign(task, { desiredState: 'shutdown', error: '', updatedAt: now })
  if (!tasksTakeTime) Object.assign(task, { state: 'shutdown', message: 'shutdown' })
}

function reject({ now }: ManagedWorld, task: SimulatedTask): void {
  const error = 'assigned node no longer meets constraints'
  Object.assign(task, {
    state: 'rejected',
    desiredState: 'shutdown',
    message: 'task rejected by constraint enforcer',
    error,
    updatedAt: now,
  })
}

/** Too many: not kept as history, and listed only as long as there is a container. */
function remove({ now, tasks, tasksTakeTime }: ManagedWorld, task: SimulatedTask): void {
  if (tasksTakeTime && task.nodeId !== undefined) Object.assign(task, { desiredState: 'remove', updatedAt: now })
  else tasks.delete(task.id)
}

function makeTask(world: ManagedWorld, service: SwarmService): SimulatedTask {
  const taken = new Set(wantedTasks(world, service).map((one) => one.slot))
  const slot = Array.from({ length: taken.size + 1 }, (_none, index) => index + 1).find((one) => !taken.has(one))
  const isSuccessor = world.tasksTakeTime && tasksOf(world, service).some((one) => one.slot === slot)
  const task: SimulatedTask = {
    id: world.newId(),
    serviceId: service.id,
    nodeId: undefined,
    slot,
    state: 'pending',
    desiredState: isSuccessor ? 'ready' : 'running',
    message: 'pending task scheduling',
    error: '',
    updatedAt: world.now,
    exitCode: undefined,
    containerId: undefined,
    addresses: {},
    configs: rawList(dig(service.spec, 'TaskTemplate', 'ContainerSpec', 'Configs')).map((one) => rawString(dig(one, 'ConfigName')) ?? ''),
    template: templateOf(service.spec),
    constraints: canonicalJson(constraintsOf(service.spec)),
  }
  world.tasks.set(task.id, task)
  return task
}

/** What the scheduler does: the first node that no filter refuses, or a word of which refused how many. */
function place(world: ManagedWorld, service: SwarmService, task: SimulatedTask): void {
  const refusals = [...world.nodes.values()].map((node) => ({ node, why: refusalOf(world, service, node) }))
  const fit = refusals.find((one) => one.why === undefined)?.node
  if (fit === undefined) {
    const error = `no suitable node${explained(refusals.map((one) => one.why))}`
    return void Object.assign(task, { desiredState: 'running', error })
  }
  const [state, message] = world.tasksTakeTime ? ['preparing', 'preparing'] : ['running', 'started']
  Object.assign(task, { nodeId: fit.id, state, message, error: '', updatedAt: world.now })
  world.onPlaced(task)
}

type Filter = 'ready' | 'constraints' | 'maxReplicas'

function refusalOf(world: ManagedWorld, service: SwarmService, node: SwarmNode): Filter | undefined {
  if (node.state !== 'ready' || node.availability !== 'active') return 'ready'
  if (!matches(service.spec, node)) return 'constraints'
  return hasRoom(world, service, node) ? undefined : 'maxReplicas'
}

const explanations: Readonly<Record<Filter, (nodes: string) => string>> = {
  ready: (nodes) => `${nodes} not available for new tasks`,
  constraints: (nodes) => `scheduling constraints not satisfied on ${nodes}`,
  maxReplicas: () => 'max replicas per node limit exceed',
}

/** The filter that refused most comes first, and of equal ones that which is asked first. */
function explained(refusals: readonly (Filter | undefined)[]): string {
  const filters = Object.keys(explanations) as Filter[]
  const counted = filters.map((filter) => ({ filter, count: refusals.filter((one) => one === filter).length }))
  const said = counted.filter((one) => one.count > 0).toSorted((a, b) => b.count - a.count)
  const texts = said.map(({ filter, count }) => explanations[filter](count === 1 ? '1 node' : `${count} nodes`))
  return texts.length === 0 ? '' : ` (${texts.join('; ')})`
}

/** `MaxReplicas`, where it is set, is for each node. */
function hasRoom(world: ManagedWorld, service: SwarmService, node: SwarmNode): boolean {
  const most = dig(service.spec, 'TaskTemplate', 'Placement', 'MaxReplicas')
  if (typeof most !== 'number' || most === 0) return true
  return wantedTasks(world, service).filter((one) => one.nodeId === node.id).length < most
}

/** Replaced before they had a node they have no container, and nothing else forgets them. */
function forgetUnplaced(world: ManagedWorld, service: SwarmService): void {
  const all = tasksOf(world, service)
  for (const slot of new Set(all.map((one) => one.slot))) {
    const ofSlot = all.filter((one) => one.slot === slot)
    const unplaced = ofSlot.filter((one) => one.nodeId === undefined && !isWanted(one))
    for (const old of unplaced.slice(0, Math.max(0, ofSlot.length - keptOfSlot))) world.tasks.delete(old.id)
  }
}
