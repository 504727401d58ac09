import { describe, expect, test } from 'vitest'
import { aVm, Cluster, type SpecChanges } from '../../simulation/cluster.ts'

const restart = { updatePolicy: 'Restart' }

async function running(spec: SpecChanges = {}): Promise<Cluster> {
  const cluster = new Cluster()
  cluster.declare('web', spec)
  await cluster.converge()
  return cluster
}

async function note(cluster: Cluster, value: string | undefined): Promise<void> {
  const config = cluster.record('web')?.config
  if (config === undefined) throw new Error('web has no record')
  const { 'swarmvirt.suspended': _before, ...labels } = config.labels
  await cluster.swarm.updateConfigLabels(config, value === undefined ? labels : { ...labels, 'swarmvirt.suspended': value })
}

function declareSuspended(cluster: Cluster, spec: SpecChanges = {}): void {
  const declared = aVm('web', spec)
  const metadata = { ...declared.vm.metadata, annotations: { 'swarmvirt.dev/suspend': 'true' } }
  cluster.declared.set('web', { ...declared, vm: { ...declared.vm, metadata } })
}

function noted(cluster: Cluster): string | undefined {
  return cluster.record('web')?.config.labels['swarmvirt.suspended']
}

describe('while a VM is suspended by the note on its record', () => {
  test('neither an edit nor a hand-made change is answered by a write, and both are when it is resumed', async () => {
    const cluster = await running(restart)
    await note(cluster, 'true')
    cluster.declare('web', { ...restart, memory: '1Gi' })
    cluster.swarm.edit('vm-web', (spec) => void (spec['Mode'] = { Replicated: { Replicas: 0 } }))
    const writes = cluster.swarm.writes
    await cluster.converge()
    expect(cluster.swarm.writes).toBe(writes)
    expect(cluster.starts('web')).toBe(1)

    await note(cluster, undefined)
    await cluster.converge()
    expect(cluster.said('web', 'ServiceReady')).toBe('True TaskRunning')
    expect(cluster.starts('web')).toBe(2)
  })

  test('its node gets no order', async () => {
    const cluster = await running()
    await note(cluster, 'true')
    const agent = cluster.agent('n1')
    agent.orders.clear()
    cluster.declare('web', { disks: [{ name: 'root', size: '4Gi', image: { source: 'images/tiny.qcow2' } }] })
    await cluster.converge()
    expect(agent.orders.size).toBe(0)
  })

  test('facts that need an order are unknown, and observed ones are known', async () => {
    const cluster = await running()
    await note(cluster, 'true')
    await cluster.converge()
    expect(cluster.said('web', 'AssetsReady')).toBe('Unknown Suspended')
    expect(cluster.said('web', 'Placed')).toBe('True Placed')
    expect(cluster.said('web', 'ServiceReady')).toBe('True TaskRunning')
  })

  test('a service that somebody changed is shown in its current state, and not as it would be corrected', async () => {
    const cluster = await running()
    await note(cluster, 'true')
    cluster.swarm.edit('vm-web', (spec) => void (spec['Mode'] = { Replicated: { Replicas: 0 } }))
    await cluster.converge()
    expect(cluster.said('web', 'ServiceReady')).toBe('True Halted')
    expect(cluster.condition('web', 'RestartRequired')).toMatchObject({ status: 'Unknown', reason: 'Suspended' })
  })

  test('a removal is held back, and goes on when it is resumed', async () => {
    const cluster = await running()
    await note(cluster, 'true')
    cluster.remove('web')
    await cluster.converge()
    expect(cluster.swarm.service('vm-web')).toBeDefined()
    expect(cluster.record('web')?.retainedAt).toBeUndefined()
    await note(cluster, undefined)
    await cluster.converge()
    expect(cluster.swarm.service('vm-web')).toBeUndefined()
    expect(cluster.record('web')?.retainedAt).toBeDefined()
  })

  test('a service that somebody removed is not made again', async () => {
    const cluster = await running()
    await note(cluster, 'true')
    cluster.swarm.services.clear()
    await cluster.converge()
    expect(cluster.swarm.service('vm-web')).toBeUndefined()
    expect(cluster.said('web', 'ServiceReady')).toBe('False Suspended')
  })
})

describe('a manifest that suspends', () => {
  test('gives a new VM neither node nor service', async () => {
    const cluster = new Cluster()
    declareSuspended(cluster)
    await cluster.converge()
    expect([cluster.swarm.services.size, cluster.swarm.configs.size]).toEqual([0, 0])
    expect(cluster.said('web', 'Placed')).toBe('Unknown Suspended')
  })

  test('still holds the removal back when it is taken away, since the record notes what it said', async () => {
    const cluster = await running()
    declareSuspended(cluster)
    await cluster.converge()
    expect(noted(cluster)).toBe('manifest')
    cluster.remove('web')
    await cluster.converge()
    expect(cluster.swarm.service('vm-web')).toBeDefined()
  })

  test('resumes without its annotation, and leaves no note', async () => {
    const cluster = await running()
    declareSuspended(cluster, { ...restart, memory: '1Gi' })
    await cluster.converge()
    expect(cluster.starts('web')).toBe(1)
    cluster.declare('web', { ...restart, memory: '1Gi' })
    await cluster.converge()
    expect(noted(cluster)).toBeUndefined()
    expect(cluster.starts('web')).toBe(2)
  })

  test('does not resume what a person suspended', async () => {
    const cluster = await running()
    await note(cluster, 'true')
    cluster.declare('web', { ...restart, memory: '1Gi' })
    await cluster.converge()
    expect(noted(cluster)).toBe('true')
    expect(cluster.starts('web')).toBe(1)
  })
})
