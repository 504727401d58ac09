import { describe, expect, test } from 'vitest'
import type { Labels } from '../../../src/ports/swarm.ts'
import { servicesReconciler } from '../../../src/reconcilers/services/index.ts'
import { dig } from '../../../src/reconcilers/shared/raw.ts'
import { Cluster } from '../../simulation/cluster.ts'
import { placeByLabels } from '../../simulation/former-release.ts'

async function running(): Promise<Cluster> {
  const cluster = new Cluster()
  cluster.declare('web')
  await cluster.converge()
  expect(cluster.swarm.running('vm-web')?.nodeId).toBe('node-n1')
  return cluster
}

function constraints(cluster: Cluster): unknown {
  return dig(cluster.swarm.service('vm-web')?.spec, 'TaskTemplate', 'Placement', 'Constraints')
}

const onN1 = ['node.id==node-n1', 'node.labels.vm-capable==true']

async function labelRecord(cluster: Cluster, change: Labels): Promise<void> {
  const config = cluster.record('web')?.config
  if (config !== undefined) await cluster.swarm.updateConfigLabels(config, { ...config.labels, ...change })
}

describe('a service that an earlier release constrained by labels', () => {
  test('is moved over in one update, which restarts nothing and corrects nothing', async () => {
    const cluster = await running()
    placeByLabels(cluster, 'web')
    const { version } = cluster.swarm.service('vm-web') ?? {}
    await cluster.converge()
    expect(constraints(cluster)).toEqual(onN1)
    expect(cluster.starts('web')).toBe(1)
    expect(cluster.corrected).toEqual([])
    expect(cluster.said('web', 'RestartRequired')).toBe('False UpToDate')
    expect(cluster.swarm.service('vm-web')?.previousSpec).toBeDefined()
    expect(cluster.swarm.service('vm-web')?.version).not.toBe(version)
  })

  test('is not taken for changed when it loses the notes afterwards: its launch config has the new hash too', async () => {
    const cluster = await running()
    placeByLabels(cluster, 'web')
    await cluster.converge()
    cluster.settings = { ...cluster.settings, runnerImage: 'swarmvirt-node:2' }
    cluster.swarm.edit('vm-web', (spec) => {
      const labels = spec['Labels'] as Record<string, string>
      for (const key of Object.keys(labels)) if (key.startsWith('swarmvirt.hash.')) delete labels[key]
    })
    await cluster.converge()
    expect([cluster.starts('web'), cluster.said('web', 'RestartRequired')]).toEqual([1, 'False UpToDate'])
  })

  test('keeps a pending edit pending', async () => {
    const cluster = await running()
    placeByLabels(cluster, 'web')
    cluster.declare('web', { memory: '1Gi' })
    await cluster.converge()
    expect(constraints(cluster)).toEqual(onN1)
    expect([cluster.starts('web'), cluster.said('web', 'RestartRequired')]).toEqual([1, 'True SpecChanged'])
  })

  test('is written as currently rendered if a user changed its template as well', async () => {
    const cluster = await running()
    placeByLabels(cluster, 'web')
    cluster.swarm.edit('vm-web', (spec) => void Object.assign(dig(spec, 'TaskTemplate', 'ContainerSpec') ?? {}, { Env: ['A=b'] }))
    await cluster.converge()
    expect(constraints(cluster)).toEqual(onN1)
    expect(dig(cluster.swarm.service('vm-web')?.spec, 'TaskTemplate', 'ContainerSpec', 'Env')).toBeUndefined()
    expect(cluster.corrected).toEqual(['template'])
  })
})

describe('constraints that a person changed', () => {
  test.each([
    ['one is removed', ['node.labels.vm-capable==true']],
    ['one is added that the node meets', [...onN1, 'node.labels.swarmvirt.accel==tcg']],
    ['they name another node', ['node.id==node-n2', 'node.labels.vm-capable==true']],
  ])('are corrected as drift of the template where %s', async (_what, Constraints) => {
    const cluster = await running()
    cluster.swarm.edit('vm-web', (spec) => void Object.assign(dig(spec, 'TaskTemplate', 'Placement') ?? {}, { Constraints }))
    await cluster.converge()
    expect(constraints(cluster)).toEqual(onN1)
    expect(cluster.corrected).toEqual(['template'])
    expect(cluster.swarm.running('vm-web')?.nodeId).toBe('node-n1')
  })
})

describe('a record that names another node than the one that the VM runs on', () => {
  test('neither moves the constraint nor applies an edit: the disks are where it runs', async () => {
    const cluster = await running()
    cluster.declare('web', { memory: '1Gi', updatePolicy: 'Restart' })
    await labelRecord(cluster, { 'swarmvirt.node': 'node-n2' })
    await cluster.run(servicesReconciler(cluster.ports()), 'web')
    expect([constraints(cluster), cluster.starts('web')]).toEqual([onN1, 1])
    expect(cluster.condition('web', 'RestartRequired')?.message).toContain('it runs on n1, but its placement record names n2')
  })

  test('moves the constraint where the node that it ran on is down: it must not start there when the node is back', async () => {
    const cluster = await running()
    cluster.swarm.changeNode('node-n1', { state: 'down' })
    expect(cluster.swarm.running('vm-web')?.nodeId).toBe('node-n1')
    await labelRecord(cluster, { 'swarmvirt.node': 'node-n2' })
    await cluster.run(servicesReconciler(cluster.ports()), 'web')
    expect(constraints(cluster)).toEqual(['node.id==node-n2', 'node.labels.vm-capable==true'])
  })
})

test('a VM whose node left the Swarm gets no service that could run nowhere', async () => {
  const cluster = new Cluster()
  cluster.declare('web', { runStrategy: 'Halted' })
  await cluster.converge()
  await cluster.swarm.removeService(cluster.swarm.service('vm-web')?.id ?? '')
  cluster.swarm.nodes.delete('node-n1')
  cluster.agents.byNode.delete('node-n1')
  await cluster.converge()
  expect(cluster.swarm.service('vm-web')).toBeUndefined()
  expect(cluster.said('web', 'ServiceReady')).toBe('False WaitingForPlaced')
})

test('a node that joins again under another ID has its VM again, with the same disk', async () => {
  const cluster = await running()
  const uid = cluster.record('web')?.uid ?? ''
  const { held } = cluster.agent('n1')
  cluster.swarm.nodes.delete('node-n1')
  cluster.agents.byNode.delete('node-n1')
  cluster.addNode('n1b')
  for (const [key, one] of held) cluster.agent('n1b').held.set(key, one)
  await cluster.converge()
  expect(cluster.record('web')).toMatchObject({ uid, node: 'node-n1b' })
  expect(constraints(cluster)).toEqual(['node.id==node-n1b', 'node.labels.vm-capable==true'])
  expect(cluster.swarm.running('vm-web')?.nodeId).toBe('node-n1b')
  expect(cluster.corrected.filter((kind) => kind === 'template')).toEqual([])
})
