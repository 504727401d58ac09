import { expect, test } from 'vitest'
import { nodesReconciler } from '../../../src/reconcilers/nodes/index.ts'
import { Cluster } from '../../simulation/cluster.ts'

function labels(cluster: Cluster, hostname: string): Readonly<Record<string, string>> {
  return cluster.swarm.nodes.get(`node-${hostname}`)?.labels ?? {}
}

async function withRunningVm(): Promise<Cluster> {
  const cluster = new Cluster()
  cluster.declare('web')
  await cluster.converge()
  expect(cluster.swarm.running('vm-web')?.nodeId).toBe('node-n1')
  return cluster
}

test('a node with a broker and TCG is capable where software emulation is allowed', async () => {
  const cluster = new Cluster(['n1'])
  await cluster.converge()
  expect(labels(cluster, 'n1')).toEqual({
    'vm-capable': 'true',
    'swarmvirt.accel': 'tcg',
    'swarmvirt.bridge.br0': 'true',
    'swarmvirt.state': 'true',
  })
})

test('a node without usable KVM is not capable where software emulation is not allowed', async () => {
  const cluster = new Cluster(['n1'])
  cluster.settings = { ...cluster.settings, softwareEmulation: false }
  await cluster.converge()
  expect(labels(cluster, 'n1')['vm-capable']).toBeUndefined()
})

test('labels of other people are not touched', async () => {
  const cluster = new Cluster(['n1'])
  cluster.swarm.editNodeLabels('node-n1', (all) => Object.assign(all, { zone: 'a', 'swarmvirt-like': 'x' }))
  await cluster.converge()
  expect(labels(cluster, 'n1')).toMatchObject({ zone: 'a', 'swarmvirt-like': 'x' })
})

test('an idle node whose agent is away is not capable, and is remembered as one that may hold disks', async () => {
  const cluster = new Cluster(['n1'])
  await cluster.converge()
  cluster.agent('n1').away = true
  await cluster.converge()
  expect(labels(cluster, 'n1')).toEqual({ 'swarmvirt.state': 'true' })
})

test('no label that a running VM needs is taken away: not without agent, not without broker, not without bridge, not by another accelerator', async () => {
  const cluster = await withRunningVm()
  const before = labels(cluster, 'n1')
  const agent = cluster.agent('n1')
  agent.away = true
  await cluster.converge()
  expect(labels(cluster, 'n1')).toEqual(before)
  agent.away = false
  agent.nodeFacts = { ...agent.nodeFacts, broker: null }
  await cluster.converge()
  expect(labels(cluster, 'n1')).toMatchObject({ 'vm-capable': 'true', 'swarmvirt.bridge.br0': 'true' })
  expect(cluster.starts('web')).toBe(1)
})

test('nor under a VM whose service a person took from us', async () => {
  const cluster = await withRunningVm()
  cluster.swarm.edit('vm-web', (spec) => {
    const { 'swarmvirt.managed-by': _gone, ...rest } = spec['Labels'] as Record<string, string>
    spec['Labels'] = rest
  })
  const agent = cluster.agent('n1')
  agent.nodeFacts = { ...agent.nodeFacts, broker: null }
  await cluster.converge()
  expect(labels(cluster, 'n1')['vm-capable']).toBe('true')
  expect(cluster.starts('web')).toBe(1)
})

test('the accelerator label does not flip under a VM that must have KVM', async () => {
  const cluster = new Cluster(['n1'])
  const agent = cluster.agent('n1')
  agent.nodeFacts = { ...agent.nodeFacts, kvm: { state: 'works', reason: 'Works', message: '' } }
  cluster.declare('web', { accelerator: 'kvm' })
  await cluster.converge()
  agent.nodeFacts = { ...agent.nodeFacts, kvm: { state: 'unusable', reason: 'KvmHangs', message: '' } }
  await cluster.converge()
  expect(labels(cluster, 'n1')['swarmvirt.accel']).toBe('kvm')
  cluster.declare('web', { accelerator: 'kvm', runStrategy: 'Halted' })
  await cluster.converge()
  expect(labels(cluster, 'n1')['swarmvirt.accel']).toBe('tcg')
  expect(cluster.starts('web')).toBe(1)
})

test('a probe that has not ended changes nothing', async () => {
  const cluster = new Cluster(['n1'])
  await cluster.converge()
  const before = labels(cluster, 'n1')
  const agent = cluster.agent('n1')
  agent.nodeFacts = { ...agent.nodeFacts, kvm: { state: 'pending', reason: 'Probing', message: '' } }
  await cluster.converge()
  expect(labels(cluster, 'n1')).toEqual(before)
})

test('placement labels removed by hand come back with the same uid', async () => {
  const cluster = await withRunningVm()
  const uid = cluster.record('web')?.uid
  cluster.swarm.editNodeLabels('node-n1', (all) => {
    delete all['swarmvirt.vm.web']
  })
  await cluster.converge()
  expect(labels(cluster, 'n1')['swarmvirt.vm.web']).toBe(uid)
  expect(cluster.swarm.running('vm-web')?.nodeId).toBe('node-n1')
})

test('the label of a VM that was removed goes away', async () => {
  const cluster = await withRunningVm()
  cluster.remove('web')
  await cluster.converge()
  expect(labels(cluster, 'n1')['swarmvirt.vm.web']).toBeUndefined()
  expect(labels(cluster, 'n1')['vm-capable']).toBe('true')
})

test('a node that changed meanwhile is looked at again and keeps both changes', async () => {
  const cluster = new Cluster(['n1'])
  let once = true
  cluster.swarm.beforeWrite = (what) => {
    if (what !== 'updateNodeLabels' || !once) return
    once = false
    cluster.swarm.editNodeLabels('node-n1', (all) => Object.assign(all, { zone: 'b' }))
  }
  await cluster.converge()
  expect(cluster.errors).toEqual(['nodes node-n1: Conflict simulated: rpc error: code = Unknown desc = update out of sequence'])
  expect(labels(cluster, 'n1')).toMatchObject({ zone: 'b', 'vm-capable': 'true' })
})

test('a node that left is asked nothing: Docker refuses to list its tasks', async () => {
  const cluster = new Cluster()
  await cluster.converge()
  cluster.swarm.nodes.delete('node-n3')
  expect(await cluster.run(nodesReconciler(cluster.ports()), 'node-n3')).toMatchObject({ actions: [], next: { kind: 'settled' } })
  expect(cluster.errors).toEqual([])
})

test('a manager that lags behind and lists no tasks takes no label from under a VM that is to run there', async () => {
  const cluster = await withRunningVm()
  const before = labels(cluster, 'n1')
  const agent = cluster.agent('n1')
  agent.nodeFacts = { ...agent.nodeFacts, broker: null }
  const { swarm, ...others } = cluster.ports()
  const lagging = nodesReconciler({ ...others, swarm: { ...methodsOf(swarm), listTasks: async () => [] } })
  await cluster.run(lagging, 'node-n1')
  const { 'swarmvirt.accel': _accel, ...needed } = before
  expect(labels(cluster, 'n1')).toMatchObject(needed)
})

test.each(['listConfigs', 'listServices'] as const)(
  'a list (%s) that is older than the label takes nothing from under a VM',
  async (older) => {
    const cluster = await withRunningVm()
    const before = labels(cluster, 'n1')
    const agent = cluster.agent('n1')
    agent.nodeFacts = { ...agent.nodeFacts, broker: null }
    const { swarm, ...others } = cluster.ports()
    await cluster.run(nodesReconciler({ ...others, swarm: { ...methodsOf(swarm), [older]: async () => [] } }), 'node-n1')
    const { 'swarmvirt.accel': _accel, ...needed } = before
    expect(labels(cluster, 'n1')).toMatchObject(needed)
  },
)

test('a broker that is away takes no label from a node where a VM is placed, also while it has no service', async () => {
  const cluster = await withRunningVm()
  const before = labels(cluster, 'n1')
  const agent = cluster.agent('n1')
  agent.nodeFacts = { ...agent.nodeFacts, broker: null }
  const service = cluster.swarm.service('vm-web')
  await cluster.swarm.removeService(service?.id ?? '')
  await cluster.run(nodesReconciler(cluster.ports()), 'node-n1')
  expect(labels(cluster, 'n1')).toEqual(before)
})

function methodsOf(swarm: ReturnType<Cluster['ports']>['swarm']) {
  return {
    listNodes: () => swarm.listNodes(),
    listConfigs: (label: string) => swarm.listConfigs(label),
    getConfig: (name: string) => swarm.getConfig(name),
    listServices: (label?: string) => swarm.listServices(label),
    getService: (name: string) => swarm.getService(name),
    listTasks: (filter: Parameters<typeof swarm.listTasks>[0]) => swarm.listTasks(filter),
    updateNodeLabels: (...args: Parameters<typeof swarm.updateNodeLabels>) => swarm.updateNodeLabels(...args),
  }
}
