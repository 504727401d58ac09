import { describe, expect, it } from 'vitest'
import { informedSwarm } from '../../../../src/controller/informer/informed-swarm.ts'
import { PortError } from '../../../../src/ports/errors.ts'
import type { Labels, Swarm, SwarmConfig, SwarmNode, SwarmSecret, SwarmService, SwarmTask } from '../../../../src/ports/swarm.ts'
import { virtualClock } from '../virtual-clock.ts'
import { aNodeId } from '../../../support/branded.ts'

function service(name: string, version = 1, labels: Record<string, string> = {}): SwarmService {
  return { id: `id-${name}`, version, name, labels, spec: {} }
}

const owned = { 'swarmvirt.managed-by': 'swarmvirt' }

function config(name: string, version = 1, labels: Labels = owned): SwarmConfig {
  return { id: `id-${name}`, version, name, labels, data: new Uint8Array(), createdAt: '2026-01-01T00:00:00Z' }
}

function node(id: string, version = 1): SwarmNode {
  const size = { memoryBytes: 1, nanoCpus: 1 }
  return {
    id: aNodeId(id),
    version,
    hostname: `host-${id}`,
    labels: {},
    role: 'worker',
    availability: 'active',
    state: 'ready',
    spec: {},
    ...size,
  }
}

function task(serviceId: string, state: string): SwarmTask {
  const nothing = { slot: 1, message: '', error: '', exitCode: undefined, containerId: undefined, addresses: {} }
  return {
    id: `t-${serviceId}`,
    serviceId,
    nodeId: aNodeId('n1'),
    state,
    desiredState: 'running',
    updatedAt: '2026-01-01T00:00:00Z',
    ...nothing,
  }
}

/** Counts what is asked of Docker; what a test does not give is not asked. */
function bench(services: SwarmService[], tasks: () => SwarmTask[] = () => []) {
  const calls: string[] = []
  const configs = new Map<string, SwarmConfig>()
  const secrets: SwarmSecret[] = []
  const nodes: SwarmNode[] = []
  let meanwhile = (): Promise<void> | void => undefined
  const unused = (): never => {
    throw new Error('not meant to be asked')
  }
  const raw: Swarm = {
    listNodes: async () => (calls.push('listNodes'), [...nodes]),
    updateNodeLabels: async () => void calls.push('updateNodeLabels'),
    listServices: async () => (calls.push('listServices'), [...services]),
    getService: async (name) => (calls.push(`getService ${name}`), services.find((one) => one.name === name || one.id === name)),
    createService: async (spec) => {
      calls.push('createService')
      services.push(service(String(spec['Name'])))
      return `id-${String(spec['Name'])}`
    },
    updateService: async (id) => {
      calls.push('updateService')
      if (id === 'refused') throw new PortError('Invalid', 'config not found')
    },
    removeService: async (id) => {
      calls.push('removeService')
      services.splice(
        services.findIndex((one) => one.id === id),
        1,
      )
    },
    listTasks: async ({ serviceId }) => {
      calls.push(`listTasks ${serviceId ?? '*'}`)
      return tasks().filter((one) => serviceId === undefined || one.serviceId === serviceId)
    },
    listConfigs: async (label) => (calls.push(`listConfigs ${label}`), [...configs.values()]),
    getConfig: async (name) => (calls.push(`getConfig ${name}`), configs.get(name)),
    async createConfig(name, labels, data) {
      calls.push(`createConfig ${name}`)
      configs.set(name, { ...config(name, 1, labels), data })
      await meanwhile()
      return `id-${name}`
    },
    async updateConfigLabels(seen, labels) {
      calls.push(`updateConfigLabels ${seen.name} ${seen.version}`)
      await meanwhile()
      configs.set(seen.name, { ...seen, version: seen.version + 1, labels })
    },
    async removeConfig(id) {
      calls.push('removeConfig')
      configs.delete(id.slice('id-'.length))
    },
    listSecrets: async () => (calls.push('listSecrets'), [...secrets].filter(({ labels }) => Object.keys(labels).length > 0)),
    createSecret: unused,
    async removeSecret(id) {
      calls.push('removeSecret')
      secrets.splice(
        secrets.findIndex((one) => one.id === id),
        1,
      )
    },
    apiVersion: async () => '1.41',
    events: unused,
  }
  const clock = virtualClock()
  /** Runs before the next write of a config is answered. */
  const during = (what: () => Promise<void> | void): void => {
    meanwhile = () => {
      meanwhile = () => undefined
      return what()
    }
  }
  return { calls, clock, services, configs, secrets, nodes, during, ...informedSwarm(raw, clock) }
}

describe('the informed Swarm', () => {
  it('reads Docker once for many callers', async () => {
    const { swarm, calls } = bench([service('vm-a'), service('vm-b')])
    for (let round = 0; round < 5; round += 1) for (const name of ['vm-a', 'vm-b']) await swarm.getService(name)
    expect(calls).toEqual(['listServices'])
  })

  it('reads an object that is not cached from Docker, since it may exist', async () => {
    const { swarm, services, calls } = bench([])
    await swarm.listServices()
    services.push(service('vm-a'))
    expect((await swarm.getService('vm-a'))?.name).toBe('vm-a')
    expect(await swarm.getConfig('sv-vm-a')).toBeUndefined()
    expect(calls).toContain('getConfig sv-vm-a')
  })

  it('returns its own writes, after one read of each object', async () => {
    const { swarm, calls } = bench([])
    await swarm.listServices()
    await swarm.createService({ Name: 'vm-a' })
    expect(await swarm.listServices()).toHaveLength(1)
    expect(calls).toEqual(['listServices', 'createService', 'getService vm-a'])
  })

  it('invalidates the object of a failed write', async () => {
    const { swarm, services } = bench([service('vm-a')])
    await swarm.listServices()
    services[0] = service('vm-a', 2)
    await swarm.updateService('id-vm-a', 1, {}).catch(() => undefined)
    expect((await swarm.getService('vm-a'))?.version).toBe(2)
  })

  it('reads again what an event names, and everything after a gap', async () => {
    const { swarm, services, applyEvent, invalidateAll, calls } = bench([service('vm-a')])
    await swarm.listServices()
    services[0] = service('vm-a', 2)
    applyEvent({ type: 'service', action: 'update', id: 'id-vm-a', name: 'vm-a' })
    expect((await swarm.getService('vm-a'))?.version).toBe(2)
    invalidateAll()
    await swarm.listServices()
    expect(calls).toEqual(['listServices', 'getService vm-a', 'listServices'])
  })

  it('removes nothing that changed since it was read, also if the event was lost', async () => {
    const { swarm, services, calls } = bench([service('vm-a')])
    await swarm.listServices()
    services[0] = service('vm-a', 2)
    await expect(swarm.removeService('id-vm-a')).rejects.toMatchObject({ kind: 'Conflict' })
    expect((await swarm.getService('vm-a'))?.version).toBe(2)
    await swarm.removeService('id-vm-a')
    expect(calls.filter((call) => call === 'removeService')).toHaveLength(1)
    expect(await swarm.listServices()).toEqual([])
  })

  it.each([
    ['changed', config('sv-a', 2)],
    ['taken from us', config('sv-a', 2, {})],
  ])('removes no config and no secret that was %s since it was read', async (_what, changed) => {
    const { swarm, configs, secrets, calls } = bench([])
    configs.set('sv-a', config('sv-a'))
    secrets.push(config('sv-a'))
    await swarm.listConfigs('swarmvirt.managed-by=swarmvirt')
    await swarm.listSecrets('swarmvirt.managed-by=swarmvirt')
    configs.set('sv-a', changed)
    secrets[0] = changed
    await expect(swarm.removeConfig('id-sv-a')).rejects.toMatchObject({ kind: 'Conflict' })
    await expect(swarm.removeSecret('id-sv-a')).rejects.toMatchObject({ kind: 'Conflict' })
    expect(calls.filter((call) => call.startsWith('remove'))).toEqual([])
    // The next read returns the current object.
    expect(await swarm.listSecrets('swarmvirt.managed-by=swarmvirt')).toEqual(changed.labels === owned ? [changed] : [])
  })

  it('removes a config and a secret that nobody changed', async () => {
    const { swarm, configs, secrets } = bench([])
    configs.set('sv-a', config('sv-a'))
    secrets.push(config('sv-a'))
    await swarm.listConfigs('swarmvirt.managed-by=swarmvirt')
    await swarm.listSecrets('swarmvirt.managed-by=swarmvirt')
    await swarm.removeConfig('id-sv-a')
    await swarm.removeSecret('id-sv-a')
    expect([configs.size, secrets.length]).toEqual([0, 0])
  })

  it('reads an absent object again for a caller that acts on the absence, unless it was just read', async () => {
    const { swarm, recent, refresh, clock, services, calls } = bench([])
    await swarm.listServices()
    services.push(service('vm-a'))
    expect(await recent.getService('vm-a')).toBeUndefined()
    await clock.pass(10_000)
    expect(await recent.getService('vm-a')).toBeDefined()
    expect(await recent.getService('vm-b')).toBeUndefined()
    expect(await recent.getService('vm-b')).toBeUndefined()
    expect(calls).toEqual(['listServices', 'getService vm-a', 'getService vm-b'])
    await refresh()
    await refresh()
    expect(calls.slice(3)).toEqual(['listConfigs swarmvirt.managed-by=swarmvirt', 'listServices'])
  })

  it('reads an object again that was just absent, after an invalidation', async () => {
    const { swarm, recent, applyEvent, services } = bench([])
    await swarm.listServices()
    services.push(service('vm-a'))
    applyEvent({ type: 'service', action: 'create', id: 'id-vm-a', name: 'vm-a' })
    expect(await recent.getService('vm-a')).toBeDefined()
  })

  it('caches a created config from the answer, and reads it before the next write to it', async () => {
    const { swarm, calls, configs } = bench([])
    await swarm.getConfig('sv-a')
    calls.length = 0
    await swarm.createConfig('sv-a', { ...owned, a: '1' }, new Uint8Array([1]))
    const made = await swarm.getConfig('sv-a')
    expect(made).toMatchObject({ id: 'id-sv-a', labels: { a: '1' }, data: new Uint8Array([1]) })
    expect(calls).toEqual(['createConfig sv-a'])
    if (made !== undefined) await swarm.updateConfigLabels(made, { ...owned, a: '2' })
    expect((await swarm.getConfig('sv-a'))?.labels['a']).toBe('2')
    expect(calls.slice(1)).toEqual(['getConfig sv-a', 'updateConfigLabels sv-a 1'])
    expect(configs.get('sv-a')?.labels['a']).toBe('2')
  })

  it('keeps its own write when a manager that lags behind answers with the version before it', async () => {
    const { swarm, configs, invalidateConfig } = bench([])
    configs.set('sv-a', config('sv-a', 7))
    const before = await swarm.getConfig('sv-a')
    if (before === undefined) throw new Error('not there')
    await swarm.updateConfigLabels(before, { ...owned, a: '2' })
    configs.set('sv-a', before)
    invalidateConfig('sv-a')
    expect((await swarm.getConfig('sv-a'))?.labels['a']).toBe('2')
    configs.set('sv-a', config('sv-a', 8, { ...owned, a: '3' }))
    invalidateConfig('sv-a')
    expect((await swarm.getConfig('sv-a'))?.labels['a']).toBe('3')
  })

  it('does not write again, nor remove, while only a manager that lags behind answers', async () => {
    const { swarm, configs, calls } = bench([])
    configs.set('sv-a', config('sv-a', 7))
    const before = await swarm.getConfig('sv-a')
    if (before === undefined) throw new Error('not there')
    await swarm.updateConfigLabels(before, { ...owned, a: '2' })
    const written = await swarm.getConfig('sv-a')
    if (written === undefined) throw new Error('not there')
    configs.set('sv-a', before)
    calls.length = 0
    await expect(swarm.updateConfigLabels(written, { ...owned, a: '3' })).rejects.toMatchObject({ kind: 'Conflict' })
    await expect(swarm.removeConfig(written.id)).rejects.toMatchObject({ kind: 'Conflict' })
    expect(calls).toEqual(['getConfig sv-a', 'getConfig sv-a'])
  })

  it('writes over nothing that somebody else wrote since its own write', async () => {
    const { swarm, configs } = bench([])
    await swarm.getConfig('sv-a')
    await swarm.createConfig('sv-a', owned, new Uint8Array())
    const made = await swarm.getConfig('sv-a')
    configs.set('sv-a', config('sv-a', 2, { ...owned, theirs: 'x' }))
    if (made === undefined) throw new Error('not there')
    await expect(swarm.updateConfigLabels(made, owned)).rejects.toMatchObject({ kind: 'Conflict' })
    expect((await swarm.getConfig('sv-a'))?.labels['theirs']).toBe('x')
  })

  it('ignores the event of its own write, and no other event', async () => {
    const { swarm, applyEvent, calls } = bench([])
    await swarm.getConfig('sv-a')
    await swarm.createConfig('sv-a', owned, new Uint8Array())
    calls.length = 0
    const event = { type: 'config', id: 'id-sv-a', name: 'sv-a' } as const
    expect(applyEvent({ ...event, action: 'create' })).toBe(false)
    await swarm.getConfig('sv-a')
    expect(calls).toEqual([])
    expect(applyEvent({ ...event, action: 'update' })).toBe(true)
    await swarm.getConfig('sv-a')
    expect(calls).toEqual(['getConfig sv-a'])
  })

  it('reads its own write even if another event arrived meanwhile', async () => {
    const { swarm, applyEvent, calls, configs, during } = bench([])
    await swarm.getConfig('sv-a')
    during(() => {
      expect(applyEvent({ type: 'config', action: 'create', id: 'id-sv-a', name: 'sv-a' })).toBe(false)
      expect(applyEvent({ type: 'config', action: 'update', id: 'id-sv-a', name: 'sv-a' })).toBe(true)
      configs.set('sv-a', config('sv-a', 2, { ...owned, theirs: 'x' }))
    })
    await swarm.createConfig('sv-a', owned, new Uint8Array())
    expect((await swarm.getConfig('sv-a'))?.labels['theirs']).toBe('x')
    expect(calls.at(-1)).toBe('getConfig sv-a')
  })

  it('processes an event that arrives long after its own write', async () => {
    const { swarm, applyEvent, clock } = bench([])
    await swarm.createConfig('sv-a', owned, new Uint8Array())
    await clock.pass(2_000)
    expect(applyEvent({ type: 'config', action: 'create', id: 'id-sv-a', name: 'sv-a' })).toBe(true)
  })

  it('invalidates the object of a write that Docker does not answer at once', async () => {
    const { swarm, clock, configs, during } = bench([])
    await swarm.createConfig('sv-a', owned, new Uint8Array())
    const made = await swarm.getConfig('sv-a')
    if (made === undefined) throw new Error('not there')
    let isWritten = (): void => undefined
    during(() => new Promise((resolve) => (isWritten = resolve)))
    const written = swarm.updateConfigLabels(made, { ...owned, a: '2' })
    await clock.pass(100)
    expect((await swarm.getConfig('sv-a'))?.labels['a']).toBeUndefined()
    configs.set('sv-a', config('sv-a', 2, { ...owned, a: '2' }))
    await clock.pass(200)
    expect((await swarm.getConfig('sv-a'))?.labels['a']).toBe('2')
    isWritten()
    await written
  })

  it('invalidates every config and secret when Docker rejects a service: one that it names may be gone, without an event', async () => {
    const { swarm, calls } = bench([])
    await swarm.listConfigs('swarmvirt.vm=a')
    await swarm.listSecrets('swarmvirt.vm=a')
    await expect(swarm.updateService('refused', 1, {})).rejects.toThrow('config not found')
    calls.length = 0
    await swarm.listConfigs('swarmvirt.vm=a')
    await swarm.listSecrets('swarmvirt.vm=a')
    expect(calls).toEqual(['listConfigs swarmvirt.managed-by=swarmvirt', 'listSecrets'])
  })

  it('accepts from any manager that a service which it removed is gone', async () => {
    const { swarm, invalidateAll } = bench([])
    await swarm.listServices()
    const id = await swarm.createService({ Name: 'vm-a' })
    await swarm.getService('vm-a')
    await swarm.removeService(id)
    expect(await swarm.getService('vm-a')).toBeUndefined()
    invalidateAll()
    expect(await swarm.listServices()).toEqual([])
  })

  it('reads an object again after a removal without an answer', async () => {
    const { swarm, configs, calls } = bench([])
    configs.set('sv-a', config('sv-a'))
    await swarm.listConfigs('swarmvirt.vm=a')
    configs.delete = () => {
      Map.prototype.delete.call(configs, 'sv-a')
      throw new PortError('Unavailable', 'no answer')
    }
    await expect(swarm.removeConfig('id-sv-a')).rejects.toThrow('no answer')
    expect(await swarm.listConfigs('swarmvirt.managed-by')).toEqual([])
    expect(calls.at(-1)).toBe('getConfig sv-a')
  })

  it('finds a service by its id', async () => {
    const { swarm, calls } = bench([service('vm-a')])
    await swarm.listServices()
    expect((await swarm.getService('id-vm-a'))?.name).toBe('vm-a')
    expect(calls).toEqual(['listServices'])
  })

  it('recognises its own write of node labels by the id of the node', async () => {
    const { swarm, nodes, applyEvent, relist } = bench([])
    nodes.push(node('n1'))
    await relist('often')
    const event = { type: 'node', action: 'update', id: 'n1', name: 'host-n1' } as const
    await swarm.updateNodeLabels(node('n1'), {})
    expect(applyEvent(event)).toBe(false)
    expect(applyEvent(event)).toBe(true)
    nodes[0] = node('n1', 2)
    expect((await swarm.listNodes())[0]?.version).toBe(2)
  })

  it('does not read a config again after Docker answered its creation at once', async () => {
    const { swarm, clock, calls } = bench([])
    await swarm.createConfig('sv-a', owned, new Uint8Array())
    await swarm.getConfig('sv-a')
    calls.length = 0
    await clock.pass(1_000)
    await swarm.getConfig('sv-a')
    expect(calls).toEqual([])
  })

  it('processes a change of an object after its own write of the object failed', async () => {
    const { swarm, services, relist } = bench([])
    services.push({ ...service('vm-a'), id: 'refused' })
    await relist('all')
    await expect(swarm.updateService('refused', 1, {})).rejects.toThrow('config not found')
    await relist('all')
    services[0] = { ...service('vm-a', 2), id: 'refused' }
    expect(await relist('often')).toMatchObject({ vms: ['a'], missedEvent: true })
  })

  it("does not keep an operator's manifests", async () => {
    const { swarm, calls } = bench([])
    for (let round = 0; round < 2; round += 1) await swarm.listConfigs('swarmvirt.manifest=true')
    expect(calls).toEqual(['listConfigs swarmvirt.manifest=true', 'listConfigs swarmvirt.manifest=true'])
  })

  it('filters by label as Docker does', async () => {
    const { swarm } = bench([service('vm-a', 1, { 'swarmvirt.vm': 'a' }), service('vm-b', 1, { 'swarmvirt.vm': 'b' }), service('x')])
    const names = async (label?: string) => (await swarm.listServices(label)).map((one) => one.name)
    expect(await names('swarmvirt.vm=a')).toEqual(['vm-a'])
    expect(await names('swarmvirt.vm')).toEqual(['vm-a', 'vm-b'])
    expect(await names()).toEqual(['vm-a', 'vm-b', 'x'])
  })

  it('serves many requests for tasks from one list, and reads the tasks of a service again after a write', async () => {
    const all = Array.from({ length: 40 }, (_, index) => service(`vm-${index}`))
    const { swarm, calls } = bench(all, () => all.map((one) => task(one.id, 'running')))
    await swarm.listServices()
    for (const one of all) expect(await swarm.listTasks({ serviceId: one.id })).toHaveLength(1)
    expect(calls.filter((call) => call === 'listTasks *')).toHaveLength(1)
    expect(calls.filter((call) => call.startsWith('listTasks')).length).toBeLessThan(20)
    await swarm.updateService('id-vm-30', 1, {})
    await swarm.listTasks({ serviceId: 'id-vm-30' })
    expect(calls.at(-1)).toBe('listTasks id-vm-30')
  })

  it('reads the tasks of a service that was just created, or that an event mentioned', async () => {
    const all = Array.from({ length: 20 }, (_, index) => service(`vm-${index}`))
    const { swarm, calls, applyEvent } = bench(all, () => all.map((one) => task(one.id, 'running')))
    for (const one of all) await swarm.listTasks({ serviceId: one.id })
    const id = await swarm.createService({ Name: 'vm-new' })
    await swarm.listTasks({ serviceId: id })
    expect(calls.at(-1)).toBe(`listTasks ${id}`)
    applyEvent({ type: 'service', action: 'update', id: 'id-vm-1', name: 'vm-1' })
    await swarm.listTasks({ serviceId: 'id-vm-1' })
    expect(calls.at(-1)).toBe('listTasks id-vm-1')
  })

  it('rejects the answer of a manager that lacks a service which was just created, unless it may have been removed', async () => {
    const { swarm, services, clock, applyEvent, invalidateAll } = bench([service('vm-a')])
    await swarm.listServices()
    const id = await swarm.createService({ Name: 'vm-b' })
    services.splice(1, 1)
    await expect(swarm.getService('vm-b')).rejects.toMatchObject({
      kind: 'Unavailable',
      message: expect.stringContaining('vm-b') as string,
    })
    await expect(swarm.listServices()).rejects.toMatchObject({ kind: 'Unavailable' })
    invalidateAll()
    await expect(swarm.listServices()).rejects.toMatchObject({ kind: 'Unavailable' })
    services.push(service('vm-b'))
    await swarm.listServices()
    services.splice(1, 1)
    expect((await swarm.getService('vm-a'))?.id).toBe('id-vm-a')
    expect(await swarm.getService('vm-z')).toBeUndefined()
    applyEvent({ type: 'service', action: 'remove', id, name: 'vm-b' })
    expect(await swarm.getService('vm-b')).toBeUndefined()

    await swarm.createService({ Name: 'vm-c' })
    services.splice(1, 1)
    await clock.pass(3_000)
    expect(await swarm.getService('vm-c')).toBeUndefined()
  })

  it('returns the VMs that a relist found changed', async () => {
    let state = 'pending'
    const { services, relist, relistTasks } = bench([service('vm-a'), service('vm-b'), service('other')], () => [task('id-vm-b', state)])
    await relist('all')
    expect(await relist('often')).toEqual({ vms: [], nodes: false, missedEvent: false })
    services.splice(0, 1, service('vm-a', 2))
    expect(await relist('often')).toEqual({ vms: ['a'], nodes: false, missedEvent: true })
    services.splice(0, 1)
    expect((await relist('often')).vms).toEqual(['a'])
    await relistTasks()
    state = 'running'
    expect(await relistTasks()).toEqual(['b'])
    expect(await relistTasks()).toEqual([])
  })

  it('reports whose object a relist found changed, by its name and by its label, if there was no event', async () => {
    const { configs, nodes, applyEvent, relist } = bench([])
    nodes.push(node('n1'))
    await relist('all')
    configs.set('sv-0123', config('sv-0123', 1, { ...owned, 'swarmvirt.vm': 'a' }))
    expect((await relist('often')).vms).toEqual([])
    applyEvent({ type: 'config', action: 'create', id: 'id-sv-0123', name: 'sv-0123' })
    expect(await relist('all')).toEqual({ vms: ['a'], nodes: false, missedEvent: false })
    nodes[0] = node('n1', 2)
    expect(await relist('often')).toEqual({ vms: [], nodes: true, missedEvent: true })
  })

  it('reports with the next relist what another list found without an event', async () => {
    const { services, clock, refresh, relist } = bench([service('vm-a'), service('vm-b')])
    await relist('all')
    services.splice(0, 1)
    await clock.pass(2_000)
    await refresh()
    expect(await relist('often')).toEqual({ vms: ['a'], nodes: false, missedEvent: true })
    expect(await relist('often')).toEqual({ vms: [], nodes: false, missedEvent: false })
  })

  it('does not report a change that its own write in flight makes', async () => {
    const { swarm, configs, relist, during } = bench([])
    await relist('all')
    during(async () => {
      expect(await relist('all')).toMatchObject({ missedEvent: false })
    })
    await swarm.createConfig('sv-a', owned, new Uint8Array())
    expect(configs.size).toBe(1)
  })
})
