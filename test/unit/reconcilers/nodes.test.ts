import { describe, expect, test } from 'vitest'
import { nodesReconciler } from '../../../src/reconcilers/nodes/index.ts'
import { Cluster } from '../../simulation/cluster.ts'
import { placeByLabels } from '../../simulation/former-release.ts'
import { aUid, aVmName } from '../../support/branded.ts'

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

test('vm-capable is not taken away under a running VM: not without agent, not without broker', async () => {
  const cluster = await withRunningVm()
  const before = labels(cluster, 'n1')
  const agent = cluster.agent('n1')
  agent.away = true
  await cluster.converge()
  expect(labels(cluster, 'n1')).toEqual(before)
  agent.away = false
  agent.nodeFacts = { ...agent.nodeFacts, broker: null }
  await cluster.converge()
  expect(labels(cluster, 'n1')['vm-capable']).toBe('true')
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

test('labels for people follow the node also under a VM that runs there, and the VM runs on', async () => {
  const cluster = new Cluster(['n1'])
  const agent = cluster.agent('n1')
  agent.nodeFacts = { ...agent.nodeFacts, kvm: { state: 'works', reason: 'Works', message: '' } }
  cluster.declare('web', { accelerator: 'kvm' })
  await cluster.converge()
  const { broker } = agent.nodeFacts
  const kvm = { state: 'unusable', reason: 'KvmHangs', message: '' } as const
  agent.nodeFacts = { ...agent.nodeFacts, kvm, broker: broker && { ...broker, bridges: [] } }
  await cluster.converge()
  expect(labels(cluster, 'n1')).toEqual({ 'vm-capable': 'true', 'swarmvirt.accel': 'tcg', 'swarmvirt.state': 'true' })
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

describe('the label that an earlier release gave each VM', () => {
  const label = 'swarmvirt.vm.web'

  test('goes once no service names it in a constraint, and the VM runs on', async () => {
    const cluster = await withRunningVm()
    placeByLabels(cluster, 'web')
    await cluster.run(nodesReconciler(cluster.ports()), 'node-n1')
    expect(labels(cluster, 'n1')[label]).toBe(cluster.record('web')?.uid)
    await cluster.converge()
    expect(labels(cluster, 'n1')).not.toHaveProperty(label)
    expect(cluster.starts('web')).toBe(1)
  })

  test('goes where nothing is left of its VM', async () => {
    const cluster = new Cluster(['n1'])
    cluster.swarm.editNodeLabels('node-n1', (all) => Object.assign(all, { [label]: 'x' }))
    await cluster.converge()
    expect(labels(cluster, 'n1')).not.toHaveProperty(label)
  })

  test.each<[string, (cluster: Cluster) => void]>([
    ['is suspended', (cluster) => cluster.declare('web', { annotations: { 'swarmvirt.dev/suspend': 'true' } })],
    [
      'has a service that a person took from us',
      (cluster) => cluster.swarm.edit('vm-web', (spec) => void delete (spec['Labels'] as Record<string, string>)['swarmvirt.managed-by']),
    ],
  ])('stays while its VM %s, with everything else that its constraints name', async (_what, change) => {
    const cluster = await withRunningVm()
    placeByLabels(cluster, 'web')
    change(cluster)
    const { broker } = cluster.agent('n1').nodeFacts
    cluster.agent('n1').nodeFacts = { ...cluster.agent('n1').nodeFacts, broker: broker && { ...broker, bridges: [] } }
    await cluster.converge()
    expect(labels(cluster, 'n1')).toMatchObject({ [label]: cluster.record('web')?.uid, 'swarmvirt.bridge.br0': 'true' })
    expect(cluster.starts('web')).toBe(1)
  })

  test('stays if a list does not have the service yet', async () => {
    const cluster = await withRunningVm()
    placeByLabels(cluster, 'web')
    const { swarm, ...others } = cluster.ports()
    await cluster.run(nodesReconciler({ ...others, swarm: { ...methodsOf(swarm), listServices: async () => [] } }), 'node-n1')
    expect(labels(cluster, 'n1')).toHaveProperty(label)
  })
})

test('a node that changed meanwhile is reconciled again and keeps both changes', async () => {
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
  expect(labels(cluster, 'n1')['vm-capable']).toBe(before['vm-capable'])
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
    expect(labels(cluster, 'n1')['vm-capable']).toBe(before['vm-capable'])
  },
)

test('a VM that is placed during the reconcile of its node keeps the node capable', async () => {
  const cluster = await withRunningVm()
  const config = cluster.record('web')?.config
  await cluster.swarm.removeService(cluster.swarm.service('vm-web')?.id ?? '')
  await cluster.swarm.removeConfig(config?.id ?? '')
  const agent = cluster.agent('n1')
  agent.nodeFacts = { ...agent.nodeFacts, broker: null }
  const { swarm, ...others } = cluster.ports()
  const listTasks: typeof swarm.listTasks = async (filter) => {
    if (config !== undefined) await cluster.swarm.createConfig(config.name, config.labels, config.data)
    return cluster.swarm.listTasks(filter)
  }
  await cluster.run(nodesReconciler({ ...others, swarm: { ...methodsOf(swarm), listTasks } }), 'node-n1')
  expect(labels(cluster, 'n1')['vm-capable']).toBe('true')
})

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

describe('a grant that nothing names', () => {
  const strange = aUid('77777777-2222-4333-8444-555555555555')

  function granted(cluster: Cluster): string[] {
    return [...cluster.agent('n1').held.values()].filter((one) => one.granted).map((one) => one.uid)
  }

  /** One controller that reconciles the node every ten seconds, for this long. */
  async function watch(cluster: Cluster, seconds: number, change: Partial<ReturnType<Cluster['ports']>> = {}): Promise<void> {
    const nodes = nodesReconciler({ ...cluster.ports(), ...change })
    for (let at = 0; at <= seconds; at += 10) {
      await cluster.run(nodes, 'node-n1')
      cluster.nowMs += 10_000
    }
  }

  async function removeByHand(cluster: Cluster, ...what: readonly ('service' | 'record')[]): Promise<void> {
    if (what.includes('service')) await cluster.swarm.removeService(cluster.swarm.service('vm-web')?.id ?? '')
    if (what.includes('record')) await cluster.swarm.removeConfig(cluster.record('web')?.config.id ?? '')
  }

  async function takeLabels(cluster: Cluster): Promise<void> {
    const config = cluster.record('web')?.config
    if (config !== undefined) await cluster.swarm.updateConfigLabels(config, {})
  }

  test('is taken back after service, record and manifest were removed by hand, and only the disk stays', async () => {
    const cluster = await withRunningVm()
    const uid = cluster.record('web')?.uid
    await removeByHand(cluster, 'service', 'record')
    cluster.remove('web')
    await cluster.converge()
    await watch(cluster, 60)
    expect(granted(cluster)).toEqual([])
    expect(cluster.agent('n1').held.get(uid ?? '')?.disks).toHaveLength(1)
    expect([cluster.swarm.configs.size, cluster.swarm.secrets.size, cluster.swarm.services.size]).toEqual([0, 0, 0])
  })

  test('is not taken back at once, nor more than once', async () => {
    const cluster = new Cluster(['n1'])
    cluster.agent('n1').held.set(strange, { uid: strange, vm: aVmName('gone'), cluster: 'lab', disks: [], granted: true })
    await watch(cluster, 0)
    expect(granted(cluster)).toEqual([strange])
    const nodes = nodesReconciler(cluster.ports())
    const revoked: number[] = []
    for (let at = 0; at <= 180; at += 10) {
      const plan = await cluster.run(nodes, 'node-n1')
      if (plan?.actions.some((action) => action.kind === 'revokeGrant') === true) revoked.push(at)
      cluster.nowMs += 10_000
    }
    expect([granted(cluster), revoked]).toEqual([[], [10]])
  })

  test.each<[string, (cluster: Cluster) => Promise<unknown>]>([
    ['a service, where only the record is gone', (cluster) => removeByHand(cluster, 'record')],
    ['a record, where only the service is gone', (cluster) => removeByHand(cluster, 'service')],
    ['a record whose labels a person took', (cluster) => removeByHand(cluster, 'service').then(() => takeLabels(cluster))],
    [
      'a service whose labels a person took',
      async (cluster) => {
        await removeByHand(cluster, 'record')
        cluster.swarm.edit('vm-web', (spec) => void (spec['Labels'] = {}))
      },
    ],
  ])('is left to %s', async (_what, change) => {
    const cluster = await withRunningVm()
    const before = granted(cluster)
    await change(cluster)
    cluster.remove('web')
    await watch(cluster, 120)
    expect(granted(cluster)).toEqual(before)
  })

  test.each([
    ['another cluster’s', { vm: aVmName('shop'), cluster: 'other' }],
    ['one of a directory without a name', { vm: null, cluster: null }],
  ])('is not touched where it is %s', async (_what, whose) => {
    const cluster = new Cluster(['n1'])
    cluster.agent('n1').held.set(strange, { uid: strange, ...whose, disks: [], granted: true })
    await watch(cluster, 120)
    expect(granted(cluster)).toEqual([strange])
  })

  test('is not believed to be one while a manifest may name its VM, nor by lists that are too old to name it', async () => {
    const cluster = await withRunningVm()
    const before = granted(cluster)
    const { swarm, declarations } = cluster.ports()
    cluster.remove('web')
    await watch(cluster, 120, { swarm: { ...methodsOf(swarm), listConfigs: async () => [], listServices: async () => [] } as never })
    expect(granted(cluster)).toEqual(before)
    await removeByHand(cluster, 'service', 'record')
    await watch(cluster, 120, { declarations: { ...declarations, isNowhere: () => false } })
    expect(granted(cluster)).toEqual(before)
  })
})
