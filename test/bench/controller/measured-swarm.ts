import { objectLabels } from '../../../src/api/labels.ts'
import type { Swarm, SwarmEvent, SwarmNode, SwarmService, SwarmTask } from '../../../src/ports/swarm.ts'
import { nodeIdOf } from '../../../src/api/names.ts'

export interface MeasuredSwarm {
  readonly swarm: Swarm
  /** Calls by method since the last `reset`. */
  readonly calls: () => Readonly<Record<string, number>>
  readonly reset: () => void
  readonly inFlight: () => number
  /** When a write last ended, in epoch milliseconds. */
  readonly lastWriteMs: () => number
  /** Ends the event stream as a connection that broke does. */
  readonly breakEvents: () => void
  /** From now on no event is passed on, and the stream says nothing of it. */
  readonly mute: (muted: boolean) => void
}

const writes = ['create', 'update', 'remove']

export function isWrite(method: string): boolean {
  return writes.some((each) => method.startsWith(each))
}

/**
 * The real Swarm with every call counted, and made to look ready: its nodes are paused, so that no task of a VM starts, and are shown as
 * active and large; a task that waits for a node is shown as running on the node that its service is bound to.
 */
export function measuredSwarm(raw: Swarm): MeasuredSwarm {
  let calls: Record<string, number> = {}
  let inFlight = 0
  let lastWriteMs = 0
  let muted = false
  let broken = new AbortController()
  const nodeOfService = new Map<string, string>()

  async function counted<Answer>(method: string, call: () => Promise<Answer>): Promise<Answer> {
    calls[method] = (calls[method] ?? 0) + 1
    inFlight += 1
    try {
      return await call()
    } finally {
      inFlight -= 1
      if (isWrite(method)) lastWriteMs = performance.timeOrigin + performance.now()
    }
  }

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

  /** The same list for the same one, as the adapter does it. */
  let shown: { readonly of: readonly SwarmTask[]; readonly services: number; readonly tasks: readonly SwarmTask[] } | undefined
  const allAsRunning = (of: readonly SwarmTask[]): readonly SwarmTask[] => {
    if (shown?.of !== of || shown.services !== nodeOfService.size) shown = { of, services: nodeOfService.size, tasks: of.map(asRunning) }
    return shown.tasks
  }

  async function* events(signal: AbortSignal): AsyncGenerator<SwarmEvent> {
    const mine = broken
    for await (const event of raw.events(AbortSignal.any([signal, mine.signal]))) if (!muted) yield event
    if (mine.signal.aborted) throw new Error('the stream was broken by the bench')
  }

  const counting = Object.fromEntries(
    Object.entries(raw).map(([method, call]) => [
      method,
      (...args: never[]) => counted(method, () => (call as (...args: never[]) => Promise<unknown>)(...args)),
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
    // Requests of the client, which makes one for itself.
    apiVersion: (signal) => raw.apiVersion(signal),
    events,
  }
  return {
    swarm,
    calls: () => ({ ...calls }),
    reset: () => void (calls = {}),
    inFlight: () => inFlight,
    lastWriteMs: () => lastWriteMs,
    mute: (now) => void (muted = now),
    breakEvents() {
      broken.abort()
      broken = new AbortController()
    },
  }
}

const largeLists = new WeakMap<readonly SwarmNode[], readonly SwarmNode[]>()

/** Returns the same result for the same list, like the adapter. */
function allLarge(nodes: readonly SwarmNode[]): readonly SwarmNode[] {
  const large = largeLists.get(nodes) ?? nodes.map(asLarge)
  largeLists.set(nodes, large)
  return large
}

function asLarge(node: SwarmNode): SwarmNode {
  return { ...node, availability: 'active', memoryBytes: 2 ** 50 }
}
