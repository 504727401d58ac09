import { objectLabels } from '../../../src/api/labels.ts'
import type { Swarm, SwarmEvent, SwarmNode, SwarmService, SwarmTask } from '../../../src/ports/swarm.ts'
import { nodeIdOf } from '../../../src/api/names.ts'
import type { Calls } from './protocol.ts'

export interface MeasuredSwarm {
  readonly swarm: Swarm
  /** Calls by method since the last time. */
  readonly takeCalls: () => Calls
  /** Drops events from now on, or no longer. The stream stays open. */
  readonly mute: (muted: boolean) => void
}

/**
 * The real Swarm with every call counted, and made to look ready. Its nodes are paused, so that no task of a VM starts; here they are active and
 * large, and a task that waits for a node runs on the node of its service.
 */
export function measuredSwarm(raw: Swarm): MeasuredSwarm {
  let calls: Record<string, number> = {}
  let muted = false
  const nodeOfService = new Map<string, string>()

  function noted<Service extends SwarmService | undefined>(service: Service): Service {
    const node = service?.labels[objectLabels.node]
    if (service !== undefined && node !== undefined) nodeOfService.set(service.id, node)
    return service
  }

  const asRunning = (task: SwarmTask): SwarmTask => {
    const nodeId = nodeIdOf(nodeOfService.get(task.serviceId))
    if (task.state !== 'pending' || nodeId === undefined) return task
    return { ...task, state: 'running', desiredState: 'running', nodeId, message: 'started', error: '' }
  }

  /** The adapter returns the same array for the same answer, and so does this. */
  let shown: { readonly of: readonly SwarmTask[]; readonly services: number; readonly tasks: readonly SwarmTask[] } | undefined
  const allAsRunning = (of: readonly SwarmTask[]): readonly SwarmTask[] => {
    if (shown?.of !== of || shown.services !== nodeOfService.size) shown = { of, services: nodeOfService.size, tasks: of.map(asRunning) }
    return shown.tasks
  }

  async function* events(signal: AbortSignal): AsyncGenerator<SwarmEvent> {
    for await (const event of raw.events(signal)) if (!muted) yield event
  }

  const counting = Object.fromEntries(
    Object.entries(raw).map(([method, call]) => [
      method,
      (...args: never[]) => {
        calls[method] = (calls[method] ?? 0) + 1
        return (call as (...args: never[]) => unknown)(...args)
      },
    ]),
  ) as unknown as Swarm

  const swarm: Swarm = {
    ...counting,
    listNodes: async (signal) => allLarge(await counting.listNodes(signal)),
    async listServices(label, signal) {
      const services = await counting.listServices(label, signal)
      services.forEach(noted)
      return services
    },
    getService: async (name, signal) => noted(await counting.getService(name, signal)),
    async listTasks(filter, signal) {
      const tasks = await counting.listTasks(filter, signal)
      return filter.serviceId === undefined && filter.nodeId === undefined ? allAsRunning(tasks) : tasks.map(asRunning)
    },
    // The client asks only once.
    apiVersion: (signal) => raw.apiVersion(signal),
    events,
  }
  return {
    swarm,
    takeCalls() {
      const taken = calls
      calls = {}
      return taken
    },
    mute: (now) => void (muted = now),
  }
}

const largeLists = new WeakMap<readonly SwarmNode[], readonly SwarmNode[]>()

/** The adapter returns the same array for the same answer, and so does this. */
function allLarge(nodes: readonly SwarmNode[]): readonly SwarmNode[] {
  const large = largeLists.get(nodes) ?? nodes.map(asLarge)
  largeLists.set(nodes, large)
  return large
}

function asLarge(node: SwarmNode): SwarmNode {
  return { ...node, availability: 'active', memoryBytes: 2 ** 50 }
}
