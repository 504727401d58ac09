import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { dockerSwarm } from '../../src/adapters/docker/docker-swarm.ts'
import { PortError, type PortErrorKind } from '../../src/ports/errors.ts'
import type { RawSpec, Swarm, SwarmEvent, SwarmService } from '../../src/ports/swarm.ts'
import { e2eLab } from '../e2e/support.ts'
import { openLab } from '../lab/lab.ts'

/** The controller's assumptions about Docker Swarm, checked on a real one. Every created object has this prefix and is removed again. */
const prefix = `sv-contract-${process.pid}`
const label = 'swarmvirt.contract'
const labels = { [label]: prefix }
let swarm: Swarm

beforeAll(async () => {
  const lab = await openLab(e2eLab)
  swarm = dockerSwarm(`unix://${lab.node('n1').dockerSocket}`)
})

afterAll(async () => {
  for (const service of await swarm.listServices(`${label}=${prefix}`)) await swarm.removeService(service.id)
  for (const config of await swarm.listConfigs(`${label}=${prefix}`)) await swarm.removeConfig(config.id)
  for (const secret of await swarm.listSecrets(`${label}=${prefix}`)) await swarm.removeSecret(secret.id)
})

async function kindOf(call: Promise<unknown>): Promise<PortErrorKind | 'no error'> {
  try {
    await call
    return 'no error'
  } catch (error) {
    if (error instanceof PortError) return error.kind
    throw error
  }
}

/** Its one task stays pending: no node has the label, so no image is needed. */
function aSpec(name: string): RawSpec {
  return {
    Name: `${prefix}-${name}`,
    Labels: labels,
    TaskTemplate: {
      ContainerSpec: { Image: 'swarmvirt-none:0', Env: ['A=1'] },
      Placement: { Constraints: ['node.labels.swarmvirt-contract==nowhere'] },
    },
    Mode: { Replicated: { Replicas: 1 } },
  }
}

async function aService(name: string): Promise<SwarmService> {
  const id = await swarm.createService(aSpec(name))
  return must(await swarm.getService(id))
}

function must<Value>(value: Value | undefined): Value {
  if (value === undefined) throw new Error('it is not there')
  return value
}

async function waitFor<Value>(what: string, read: () => Promise<Value | undefined>): Promise<Value> {
  for (let turn = 0; turn < 100; turn += 1) {
    const value = await read()
    if (value !== undefined) return value
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  throw new Error(`${what} did not happen`)
}

describe('services', () => {
  it('are found by their exact name and id, and by no beginning of either', async () => {
    const service = await aService('exact')
    expect((await swarm.getService(`${prefix}-exact`))?.id).toBe(service.id)
    expect((await swarm.getService(service.id))?.name).toBe(`${prefix}-exact`)
    expect(await swarm.getService(`${prefix}-exac`)).toBeUndefined()
    expect(await swarm.getService(service.id.slice(0, 10))).toBeUndefined()
  })

  it('refuse a name that is taken with Conflict', async () => {
    await aService('taken')
    expect(await kindOf(swarm.createService(aSpec('taken')))).toBe('Conflict')
  })

  it('reject invalid specs and unknown names with Invalid', async () => {
    expect(await kindOf(swarm.createService({ ...aSpec('wrong'), Name: 'not a name' }))).toBe('Invalid')
    const networks = { ...(aSpec('net')['TaskTemplate'] as object), Networks: [{ Target: `${prefix}-no-network` }] }
    expect(await kindOf(swarm.createService({ ...aSpec('net'), TaskTemplate: networks }))).toBe('Invalid')
  })

  it('refuse an update with an old version with Conflict, and keep the winner’s', async () => {
    const service = await aService('race')
    const spec = (winner: string): RawSpec => ({ ...service.spec, Labels: { ...labels, winner } })
    await swarm.updateService(service.id, service.version, spec('first'))
    expect(await kindOf(swarm.updateService(service.id, service.version, spec('second')))).toBe('Conflict')
    expect((await swarm.getService(service.id))?.labels).toEqual({ ...labels, winner: 'first' })
  })

  it('that are gone answer NotFound to writes and undefined to a look', async () => {
    const service = await aService('gone')
    await swarm.removeService(service.id)
    expect(await swarm.getService(service.id)).toBeUndefined()
    expect(await kindOf(swarm.removeService(service.id))).toBe('NotFound')
    expect(await kindOf(swarm.updateService(service.id, service.version, service.spec))).toBe('NotFound')
  })

  it('start no task for a label, and one for anything in the template', async () => {
    const service = await aService('labels')
    const tasks = async (): Promise<readonly string[]> => (await swarm.listTasks({ serviceId: service.id })).map((task) => task.id)
    const [first] = await waitFor('the first task', async () => ((await tasks()).length === 1 ? tasks() : undefined))
    await swarm.updateService(service.id, service.version, { ...service.spec, Labels: { ...labels, more: 'yes' } })
    await new Promise((resolve) => setTimeout(resolve, 1_500))
    expect(await tasks()).toEqual([first])
    const now = must(await swarm.getService(service.id))
    const template = now.spec['TaskTemplate'] as { ContainerSpec: object }
    const changed = { ...template, ContainerSpec: { ...template.ContainerSpec, Env: ['A=2'] } }
    await swarm.updateService(now.id, now.version, { ...now.spec, TaskTemplate: changed })
    await waitFor('another task', async () => ((await tasks()).some((id) => id !== first) ? true : undefined))
    expect((await swarm.getService(service.id))?.previousSpec).toBeDefined()
  })

  it('are listed by label', async () => {
    const service = await aService('listed')
    expect((await swarm.listServices(`${label}=${prefix}`)).map((one) => one.id)).toContain(service.id)
    expect(await swarm.listServices(`${label}=somebody-else`)).toEqual([])
  })
})

describe('nodes', () => {
  it('take labels with the version that was seen, and refuse an old one with Conflict', async () => {
    const node = must((await swarm.listNodes())[0])
    await swarm.updateNodeLabels(node, { ...node.labels, [label]: prefix })
    expect(await kindOf(swarm.updateNodeLabels(node, node.labels))).toBe('Conflict')
    const now = must((await swarm.listNodes()).find((one) => one.id === node.id))
    expect([now.labels[label], now.role, now.availability]).toEqual([prefix, node.role, node.availability])
    await swarm.updateNodeLabels(now, Object.fromEntries(Object.entries(now.labels).filter(([key]) => key !== label)))
  })
})

describe('configs and secrets', () => {
  it('give configs back byte for byte, by exact name', async () => {
    const data = new Uint8Array([0, 1, 127, 128, 255, 10])
    const id = await swarm.createConfig(`${prefix}-bytes`, labels, data)
    const config = must(await swarm.getConfig(`${prefix}-bytes`))
    expect([config.id, [...config.data]]).toEqual([id, [...data]])
    expect(await swarm.getConfig(`${prefix}-byte`)).toBeUndefined()
  })

  it('let one of two creators of a name win', async () => {
    const create = (): Promise<string> => swarm.createConfig(`${prefix}-race`, labels, new Uint8Array([1]))
    const outcomes = await Promise.all([kindOf(create()), kindOf(create()), kindOf(create())])
    expect(outcomes.sort()).toEqual(['Conflict', 'Conflict', 'no error'])
  })

  it('change labels with the version that was seen, and keep the data', async () => {
    await swarm.createConfig(`${prefix}-relabel`, labels, new Uint8Array([7]))
    const config = must(await swarm.getConfig(`${prefix}-relabel`))
    await swarm.updateConfigLabels(config, { ...labels, more: 'yes' })
    expect(await kindOf(swarm.updateConfigLabels(config, labels))).toBe('Conflict')
    const now = must(await swarm.getConfig(`${prefix}-relabel`))
    expect([now.labels, [...now.data]]).toEqual([{ ...labels, more: 'yes' }, [7]])
  })

  it('refuse a config that is in use with Invalid, and one that is gone with NotFound', async () => {
    const id = await swarm.createConfig(`${prefix}-used`, labels, new Uint8Array([1]))
    const template = aSpec('user')['TaskTemplate'] as { ContainerSpec: object }
    const file = { Name: '/x', UID: '0', GID: '0', Mode: 0o444 }
    const Configs = [{ ConfigID: id, ConfigName: `${prefix}-used`, File: file }]
    const user = await swarm.createService({
      ...aSpec('user'),
      TaskTemplate: { ...template, ContainerSpec: { ...template.ContainerSpec, Configs } },
    })
    expect(await kindOf(swarm.removeConfig(id))).toBe('Invalid')
    await swarm.removeService(user)
    await swarm.removeConfig(id)
    expect(await kindOf(swarm.removeConfig(id))).toBe('NotFound')
  })

  it('never give secrets back', async () => {
    await swarm.createSecret(`${prefix}-secret`, labels, new TextEncoder().encode('hush'))
    const [secret] = await swarm.listSecrets(`${label}=${prefix}`)
    expect(secret?.name).toBe(`${prefix}-secret`)
    expect(JSON.stringify(secret)).not.toContain(Buffer.from('hush').toString('base64'))
  })
})

describe('calls', () => {
  it('end with the signal’s reason when they are cancelled', async () => {
    const reason = new Error('enough')
    await expect(swarm.listNodes(AbortSignal.abort(reason))).rejects.toBe(reason)
  })

  it('are Unavailable where nobody listens', async () => {
    expect(await kindOf(dockerSwarm('unix:///nonexistent/docker.sock').listNodes())).toBe('Unavailable')
  })

  it('use an API version that both sides support', async () => {
    expect(await swarm.apiVersion()).toMatch(/^1\.\d{2}$/)
  })
})

describe('events', () => {
  it('tell of services, nodes and configs, and end with the signal', async () => {
    const stopping = new AbortController()
    const seen: SwarmEvent[] = []
    const following = (async () => {
      for await (const event of swarm.events(stopping.signal)) seen.push(event)
    })()
    await new Promise((resolve) => setTimeout(resolve, 500))
    const id = await swarm.createService(aSpec('event'))
    await swarm.removeService(id)
    await waitFor('both events', async () => (seen.filter((event) => event.id === id).length >= 2 ? true : undefined))
    expect(seen.filter((event) => event.id === id).map(({ type, action, name }) => ({ type, action, name }))).toEqual([
      { type: 'service', action: 'create', name: `${prefix}-event` },
      { type: 'service', action: 'remove', name: `${prefix}-event` },
    ])
    stopping.abort()
    await following
  })
})
