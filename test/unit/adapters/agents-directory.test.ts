import { describe, expect, it } from 'vitest'
import { agentsDirectory } from '../../../src/adapters/control/agents-directory.ts'
import type { Agent } from '../../../src/ports/agents.ts'
import { PortError } from '../../../src/ports/errors.ts'
import type { SwarmTask } from '../../../src/ports/swarm.ts'
import { aNodeId, aUid } from '../../support/branded.ts'

function aTask(over: Partial<SwarmTask>): SwarmTask {
  const none = { slot: undefined, message: '', error: '', updatedAt: '', exitCode: undefined, containerId: undefined }
  return {
    id: 't',
    serviceId: 's',
    nodeId: aNodeId('n1'),
    state: 'running',
    desiredState: 'running',
    addresses: { control: '10.200.0.5' },
    ...none,
    ...over,
  }
}

function bench(tasks: readonly SwarmTask[]) {
  const made = {
    tasks,
    listed: 0,
    nowMs: 0,
    away: new Set<string>(),
    closed: [] as string[],
    services: [{ id: 's', version: 1, name: 'agent', labels: {}, spec: {} }],
    listing: undefined as Promise<never> | undefined,
  }
  const connect = (address: string): Agent & { close(): void } => {
    const answer = async (): Promise<never> => {
      if (made.away.has(address)) throw new PortError('Unavailable', `${address} is away`)
      return { address } as never
    }
    return {
      facts: answer,
      instances: answer,
      prepare: answer,
      progress: answer,
      revoke: answer,
      deleteDisks: answer,
      vm: answer,
      control: answer,
      probe: answer,
      unchanged: answer,
      close: () => void made.closed.push(address),
    }
  }
  const swarm = {
    listServices: async () => made.services,
    listTasks: async () => {
      made.listed += 1
      if (made.listing !== undefined) return made.listing
      return made.tasks
    },
  }
  return { made, agents: agentsDirectory({ swarm, controlNetwork: 'control', connect, now: () => made.nowMs }) }
}

async function reason(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => 'answered',
    (error: PortError) => `${error.kind}: ${error.message}`,
  )
}

describe('the directory of agents', () => {
  it('finds a node’s agent by its running task, on the control network', async () => {
    const { agents } = bench([
      aTask({ nodeId: aNodeId('n2'), addresses: { control: '10.200.0.6' } }),
      aTask({ addresses: { other: '1.2.3.4', control: '10.200.0.5' } }),
    ])
    expect(await agents.on(aNodeId('n1')).facts()).toEqual({ address: '10.200.0.5' })
    expect(await agents.on(aNodeId('n2')).facts()).toEqual({ address: '10.200.0.6' })
  })

  it('asks Docker once for many calls, and again after five seconds', async () => {
    const { made, agents } = bench([aTask({})])
    await Promise.all([agents.on(aNodeId('n1')).facts(), agents.on(aNodeId('n1')).instances(), agents.on(aNodeId('n1')).facts()])
    expect(made.listed).toBe(1)
    made.nowMs = 5_000
    await agents.on(aNodeId('n1')).facts()
    expect(made.listed).toBe(2)
  })

  it('finds an agent that moved after a failure, and closes the connections to where it was', async () => {
    const { made, agents } = bench([aTask({})])
    await agents.on(aNodeId('n1')).facts()
    made.away.add('10.200.0.5')
    made.tasks = [aTask({ state: 'shutdown', desiredState: 'shutdown' }), aTask({ addresses: { control: '10.200.0.9' } })]
    expect(await reason(agents.on(aNodeId('n1')).facts())).toContain('is away')
    made.nowMs = 1_000
    expect(await agents.on(aNodeId('n1')).facts()).toEqual({ address: '10.200.0.9' })
    expect(made.closed).toEqual(['10.200.0.5'])
  })

  it('reports why a node has no agent', async () => {
    const { made, agents } = bench([aTask({ state: 'preparing', error: 'no such image' }), aTask({ nodeId: aNodeId('n2'), addresses: {} })])
    expect(await reason(agents.on(aNodeId('n1')).facts())).toContain("Unavailable: the agent's task is preparing (no such image)")
    expect(await reason(agents.on(aNodeId('n2')).facts())).toContain("Unavailable: the agent's task has no address on the network control")
    expect(await reason(agents.on(aNodeId('n3')).facts())).toContain('Unavailable: no agent task runs on this node')
    made.services = []
    made.nowMs = 10_000
    expect(await reason(agents.on(aNodeId('n1')).facts())).toContain('Unavailable: no service has the label swarmvirt.component=agent')
  })

  it('takes nothing that Docker says of the agents’ own tasks for an agent’s answer', async () => {
    const { made, agents } = bench([aTask({})])
    made.listing = Promise.reject(new PortError('NotFound', 'service s not found'))
    made.listing.catch(() => undefined)
    expect(await reason(agents.on(aNodeId('n1')).revoke(aUid('00000000-0000-4000-8000-000000000001')))).toBe(
      'Unavailable: cannot list the agents: service s not found',
    )
  })

  it('lets go of a Docker that does not answer when the caller is stopped', async () => {
    const { made, agents } = bench([aTask({})])
    made.listing = new Promise(() => undefined)
    const stopping = new AbortController()
    const asked = reason(agents.on(aNodeId('n1')).facts(stopping.signal))
    stopping.abort(new PortError('Unavailable', 'stopped'))
    expect(await asked).toBe('Unavailable: stopped')
  })
})
