import type { RawSpec, SwarmNode, SwarmService } from '../../src/ports/swarm.ts'
import { dig, rawNumber, rawObject } from '../../src/reconcilers/shared/raw.ts'
import { matches } from './docker-rules.ts'
import { type ManagedWorld, type Resources, type SimulatedTask, wantedTasks } from './managed-world.ts'

/** The scheduler: the first node that passes all filters, or how many nodes each filter rejected. */
export function schedule(world: ManagedWorld, service: SwarmService, task: SimulatedTask): void {
  const refusals = [...world.nodes.values()].map((node) => ({ node, why: refusalOf(world, service, task, node) }))
  const fit = refusals.find((one) => one.why === undefined)?.node
  if (fit === undefined) {
    const error = `no suitable node${explained(refusals.map((one) => one.why))}`
    return void Object.assign(task, { desiredState: 'running', error })
  }
  const [state, message] = world.tasksTakeTime ? ['preparing', 'preparing'] : ['running', 'started']
  Object.assign(task, { nodeId: fit.id, state, message, error: '', updatedAt: world.now })
  world.onPlaced(task)
}

type Filter = 'ready' | 'resources' | 'constraints' | 'maxReplicas'

function refusalOf(world: ManagedWorld, service: SwarmService, task: SimulatedTask, node: SwarmNode): Filter | undefined {
  if (node.state !== 'ready' || node.availability !== 'active') return 'ready'
  if (!hasResources(world, node, task.reserved ?? nothing)) return 'resources'
  if (!matches(service.spec, node)) return 'constraints'
  return takesMore(world, service, node) ? undefined : 'maxReplicas'
}

const explanations: Readonly<Record<Filter, (nodes: string) => string>> = {
  ready: (nodes) => `${nodes} not available for new tasks`,
  resources: (nodes) => `insufficient resources on ${nodes}`,
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
function takesMore(world: ManagedWorld, service: SwarmService, node: SwarmNode): boolean {
  const most = dig(service.spec, 'TaskTemplate', 'Placement', 'MaxReplicas')
  if (typeof most !== 'number' || most === 0) return true
  return wantedTasks(world, service).filter((one) => one.nodeId === node.id).length < most
}

const nothing: Resources = { memory: 0, cpu: 0 }

export function reservedIn(spec: RawSpec): Resources {
  const { MemoryBytes, NanoCPUs } = rawObject(dig(spec, 'TaskTemplate', 'Resources', 'Reservations'))
  return { memory: rawNumber(MemoryBytes) ?? 0, cpu: rawNumber(NanoCPUs) ?? 0 }
}

const ended = new Set(['shutdown', 'complete', 'failed', 'rejected'])

/** A task has what it reserves from when it is given to a node until it has ended, however long ago it was asked to. */
function hasResources({ tasks, leaving }: ManagedWorld, node: SwarmNode, wanted: Resources): boolean {
  const held = [...tasks.values(), ...leaving.values()].filter((one) => one.nodeId === node.id && !ended.has(one.state))
  const free = (kind: keyof Resources, has: number): number => held.reduce((left, one) => left - (one.reserved ?? nothing)[kind], has)
  const fits = (kind: keyof Resources, has: number): boolean => wanted[kind] === 0 || wanted[kind] <= free(kind, has)
  return fits('memory', node.memoryBytes) && fits('cpu', node.nanoCpus)
}
