import { objectLabels } from '../../api/labels.ts'
import type { Agent, Agents } from '../../ports/agents.ts'
import { PortError } from '../../ports/errors.ts'
import { messageOf } from '../../api/error-message.ts'
import type { Swarm } from '../../ports/swarm.ts'

export interface AgentsDirectoryOptions {
  readonly swarm: Pick<Swarm, 'listServices' | 'listTasks'>
  /** The overlay network of the controller and the agents. */
  readonly controlNetwork: string
  /** Creates a client for an address. It is cached while a task has that address. */
  readonly connect: (address: string) => Agent & { close(): void }
  /** Milliseconds. */
  readonly now: () => number
}

/** Tasks rarely move, and a failed call refreshes the list anyway. */
const freshMs = 5_000
/** Minimum interval between two lists, so that many failed calls cause one request to Docker. */
const leastMs = 1_000

interface Listing {
  readonly atMs: number
  readonly byNode: ReadonlyMap<string, Found>
}
type Found = { readonly address: string } | { readonly missing: string }

/** Finds each node's agent through the tasks of the service with the agent label. */
export function agentsDirectory(options: AgentsDirectoryOptions): Agents {
  const clients = new Map<string, Agent & { close(): void }>()
  let listing: Promise<Listing> | undefined
  let askedAtMs = Number.NEGATIVE_INFINITY
  let doubted = false

  function list(): Promise<Listing> {
    const age = options.now() - askedAtMs
    if (listing !== undefined && age < (doubted ? leastMs : freshMs)) return listing
    askedAtMs = options.now()
    doubted = false
    // Concurrent callers share this request, so no caller's signal may abort it. The Docker client has its own timeout.
    const asked = listAgents(options).catch(notListed)
    listing = asked
    asked.then(dropGone, () => {
      if (listing === asked) listing = undefined
    })
    return asked
  }

  function dropGone({ byNode }: Listing): void {
    const used = new Set([...byNode.values()].flatMap((found) => ('address' in found ? [found.address] : [])))
    for (const [address, client] of clients) {
      if (used.has(address)) continue
      clients.delete(address)
      client.close()
    }
  }

  async function agentOf(nodeId: string, signal: AbortSignal | undefined): Promise<Agent> {
    const found = (await unlessAborted(list(), signal)).byNode.get(nodeId) ?? { missing: 'no agent task runs on this node' }
    if ('missing' in found) {
      doubted = true
      throw new PortError('Unavailable', `${found.missing}; see "docker service ps" of the agents' service`)
    }
    const client = clients.get(found.address) ?? options.connect(found.address)
    clients.set(found.address, client)
    return client
  }

  async function call<Value>(nodeId: string, signal: AbortSignal | undefined, use: (agent: Agent) => Promise<Value>): Promise<Value> {
    const agent = await agentOf(nodeId, signal)
    try {
      return await use(agent)
    } catch (error) {
      if (error instanceof PortError && error.kind === 'Unavailable') doubted = true
      throw error
    }
  }

  return {
    on: (nodeId) => ({
      facts: (signal) => call(nodeId, signal, (agent) => agent.facts(signal)),
      instances: (signal) => call(nodeId, signal, (agent) => agent.instances(signal)),
      prepare: (order, signal) => call(nodeId, signal, (agent) => agent.prepare(order, signal)),
      progress: (question, signal) => call(nodeId, signal, (agent) => agent.progress(question, signal)),
      revoke: (uid, signal) => call(nodeId, signal, (agent) => agent.revoke(uid, signal)),
      deleteDisks: (order, signal) => call(nodeId, signal, (agent) => agent.deleteDisks(order, signal)),
      vm: (uid, signal) => call(nodeId, signal, (agent) => agent.vm(uid, signal)),
      control: (uid, action, signal) => call(nodeId, signal, (agent) => agent.control(uid, action, signal)),
      probe: (request, signal) => call(nodeId, signal, (agent) => agent.probe(request, signal)),
      unchanged: (known, signal) => call(nodeId, signal, (agent) => agent.unchanged(known, signal)),
    }),
  }
}

/** An error of Docker must not look like an agent's answer: a NotFound would mean that the VM is absent. */
function notListed(error: unknown): never {
  throw error instanceof PortError && error.kind === 'Unavailable'
    ? error
    : new PortError('Unavailable', `cannot list the agents: ${messageOf(error)}`, { cause: error })
}

/** The shared request continues for the other callers. An aborted caller stops waiting for it. */
function unlessAborted<Value>(shared: Promise<Value>, signal: AbortSignal | undefined): Promise<Value> {
  if (signal === undefined) return shared
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error)
    if (signal.aborted) return onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    shared.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}

async function listAgents({ swarm, controlNetwork, now }: AgentsDirectoryOptions): Promise<Listing> {
  const services = await swarm.listServices(`${objectLabels.component}=agent`)
  if (services.length === 0)
    throw new PortError('Unavailable', `no service has the label ${objectLabels.component}=agent: deploy the agents`)
  const tasks = (await Promise.all(services.map((service) => swarm.listTasks({ serviceId: service.id })))).flat()
  const byNode = new Map<string, Found>()
  for (const task of tasks.filter((one) => one.desiredState === 'running')) {
    if (task.nodeId === undefined || 'address' in (byNode.get(task.nodeId) ?? {})) continue
    const address = task.addresses[controlNetwork]
    byNode.set(task.nodeId, found(task.state, task.error, address, controlNetwork))
  }
  return { atMs: now(), byNode }
}

function found(state: string, error: string, address: string | undefined, network: string): Found {
  if (state !== 'running') return { missing: `the agent's task is ${state}${error === '' ? '' : ` (${error})`}` }
  return address === undefined ? { missing: `the agent's task has no address on the network ${network}` } : { address }
}
