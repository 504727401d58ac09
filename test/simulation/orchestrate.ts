import { canonicalJson } from '../../src/api/hash.ts'
import type { SwarmService } from '../../src/ports/swarm.ts'
import { dig, rawList, rawString } from '../../src/reconcilers/shared/raw.ts'
import { constraintsOf, matches, replicasOf, templateOf } from './docker-rules.ts'
import { isWanted, type ManagedWorld, type SimulatedTask, tasksOf, wantedTasks } from './managed-world.ts'
import { reservedIn, schedule } from './schedule.ts'

/** As many tasks of a slot are listed, the one that counts among them. */
const keptOfSlot = 5

/** The orchestrator for one service: ends the tasks that may not or need not run, and creates and starts missing ones. */
export function orchestrate(world: ManagedWorld, service: SwarmService): void {
  if (dig(service.spec, 'Mode', 'Replicated') === undefined) return
  for (const task of wantedTasks(world, service)) judgeTask(world, service, task)
  for (const surplus of byImportance(wantedTasks(world, service)).slice(replicasOf(service.spec))) remove(world, surplus)
  for (const task of wantedTasks(world, service)) if (task.nodeId === undefined) schedule(world, service, task)
  for (let missing = replicasOf(service.spec) - wantedTasks(world, service).length; missing > 0; missing -= 1)
    schedule(world, service, makeTask(world, service))
  forgetUnplaced(world, service)
}

/** With too many tasks the running ones stay, the oldest first. */
function byImportance(tasks: readonly SimulatedTask[]): SimulatedTask[] {
  const rank = (one: SimulatedTask): number => (one.state === 'running' ? 0 : one.nodeId === undefined ? 2 : 1)
  return tasks.toSorted((a, b) => rank(a) - rank(b))
}

function judgeTask(world: ManagedWorld, { spec }: SwarmService, task: SimulatedTask): void {
  const isOther = task.template !== templateOf(spec)
  if (task.nodeId === undefined) {
    // For a task that never had a node, constraints count too.
    if (isOther || task.constraints !== canonicalJson(constraintsOf(spec)))
      Object.assign(task, { state: 'shutdown', desiredState: 'shutdown', error: '', updatedAt: world.now })
    return
  }
  const node = world.nodes.get(task.nodeId)
  const lost = world.tasksTakeTime && node?.state === 'down'
  if (isOther || node?.availability === 'drain' || lost) end(world, task)
  else if (node === undefined || !matches(spec, node)) reject(world, task)
}

/** A node with a container reports `running` until the container is gone. */
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
    reserved: reservedIn(service.spec),
    constraints: canonicalJson(constraintsOf(service.spec)),
  }
  world.tasks.set(task.id, task)
  return task
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
