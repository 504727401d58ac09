import type { SwarmNode, SwarmService, SwarmTask } from '../../src/ports/swarm.ts'
import { dig } from '../../src/reconcilers/shared/raw.ts'
import { matches, replicasOf, templateOf } from './docker-rules.ts'

export type SimulatedTask = { -readonly [K in keyof SwarmTask]: SwarmTask[K] } & {
  /** What its service looked like when it was made. */
  readonly template: string
}

export interface ManagedWorld {
  readonly nodes: ReadonlyMap<string, SwarmNode>
  readonly tasks: Map<string, SimulatedTask>
  /** Containers are facts of their own: a task that is asked to end reads `running` until somebody says that its container is gone. */
  readonly tasksTakeTime: boolean
  readonly newId: () => string
  /** RFC 3339. */
  readonly now: string
}

/** What managers do for one service: end the tasks that may not or need not run, and make and start those that are missing. */
export function orchestrate(world: ManagedWorld, service: SwarmService): void {
  if (dig(service.spec, 'Mode', 'Replicated') === undefined) return
  const template = templateOf(service.spec)
  for (const task of wantedTasks(world, service)) judgeTask(world, service, task, template)
  for (const surplus of byImportance(wantedTasks(world, service)).slice(replicasOf(service.spec))) end(world, surplus, 'shutdown', '')
  for (let missing = replicasOf(service.spec) - wantedTasks(world, service).length; missing > 0; missing -= 1)
    startTask(world, service, template)
}

function wantedTasks({ tasks }: ManagedWorld, service: SwarmService): SimulatedTask[] {
  return [...tasks.values()].filter((one) => one.serviceId === service.id && one.desiredState === 'running')
}

/** Of too many tasks those that run stay, the oldest first. */
function byImportance(tasks: readonly SimulatedTask[]): SimulatedTask[] {
  const rank = (one: SimulatedTask): number => (one.state === 'running' ? 0 : one.nodeId === undefined ? 2 : 1)
  return tasks.toSorted((a, b) => rank(a) - rank(b))
}

function judgeTask(world: ManagedWorld, { spec }: SwarmService, task: SimulatedTask, template: string): void {
  const node = world.nodes.get(task.nodeId ?? '')
  const lost = world.tasksTakeTime && node?.state === 'down'
  if (task.nodeId === undefined) world.tasks.delete(task.id)
  else if (task.template !== template || replicasOf(spec) === 0 || node?.availability === 'drain' || lost) end(world, task, 'shutdown', '')
  else if (node === undefined || !matches(spec, node)) end(world, task, 'rejected', 'assigned node no longer meets constraints')
}

function end({ now, tasksTakeTime }: ManagedWorld, task: SimulatedTask, ended: string, error: string): void {
  const state = tasksTakeTime && ended === 'shutdown' ? task.state : ended
  Object.assign(task, { state, desiredState: 'shutdown', error, updatedAt: now })
}

/** `MaxReplicas`, where it is set, is for each node. */
function hasRoom(world: ManagedWorld, service: SwarmService, node: SwarmNode): boolean {
  const most = dig(service.spec, 'TaskTemplate', 'Placement', 'MaxReplicas')
  if (typeof most !== 'number' || most === 0) return true
  return wantedTasks(world, service).filter((one) => one.nodeId === node.id).length < most
}

function startTask(world: ManagedWorld, service: SwarmService, template: string): void {
  const nodes = [...world.nodes.values()]
  const fit = nodes.find(
    (one) => one.state === 'ready' && one.availability === 'active' && matches(service.spec, one) && hasRoom(world, service, one),
  )
  const found = fit !== undefined
  const id = world.newId()
  world.tasks.set(id, {
    id,
    serviceId: service.id,
    nodeId: fit?.id,
    slot: 1,
    state: found ? (world.tasksTakeTime ? 'preparing' : 'running') : 'pending',
    desiredState: 'running',
    message: found ? (world.tasksTakeTime ? 'preparing' : 'started') : 'pending task scheduling',
    error: found ? '' : `no suitable node (scheduling constraints not satisfied on ${nodes.length} nodes)`,
    updatedAt: world.now,
    exitCode: undefined,
    containerId: undefined,
    addresses: {},
    template,
  })
}
