import { expect, test } from 'vitest'
import { disksView } from '../../../src/controller/api/list-disks.ts'
import { Cluster } from '../../simulation/cluster.ts'
import { aUid, aVmName } from '../../support/branded.ts'

const { signal } = new AbortController()
const uids = { other: aUid('77777777-2222-4333-8444-555555555555'), nameless: aUid('88888888-2222-4333-8444-555555555555') }

function view(cluster: Cluster) {
  const { swarm, agents } = cluster.ports()
  return disksView({ swarm, agents, cluster: 'lab' }, signal)
}

async function states(cluster: Cluster): Promise<unknown[]> {
  return (await view(cluster)).disks.map(({ vm, state }) => [vm, state])
}

async function running(): Promise<Cluster> {
  const cluster = new Cluster(['n1'])
  cluster.declare('web')
  await cluster.converge()
  return cluster
}

test('a disk is in use while a record or a service names it, and retained when its VM was removed', async () => {
  const cluster = await running()
  const uid = cluster.record('web')?.uid
  expect((await view(cluster)).disks).toEqual([
    {
      node: 'n1',
      uid,
      vm: 'web',
      cluster: 'lab',
      disk: 'root',
      sizeBytes: 2 * 1024 ** 3,
      allocatedBytes: 0,
      state: 'InUse',
      retainedAt: null,
    },
  ])
  cluster.remove('web')
  await cluster.converge()
  expect((await view(cluster)).disks).toMatchObject([{ state: 'Retained', retainedAt: expect.stringMatching(/^2026-01-01T/) as string }])
})

test('a disk that the manifest of its VM no longer names is detached, until its VM is removed', async () => {
  const cluster = await running()
  const uid = cluster.record('web')?.uid ?? aUid('')
  const held = cluster.agent('n1').held.get(uid)
  if (held === undefined) throw new Error('n1 has no disk of web')
  const removed = { name: 'data', sizeBytes: 1, allocatedBytes: 1, blank: true, removed: true } as const
  cluster.agent('n1').held.set(uid, { ...held, disks: [...held.disks, removed] })
  expect((await view(cluster)).disks.map(({ disk, state }) => [disk, state])).toEqual([
    ['root', 'InUse'],
    ['data', 'Detached'],
  ])
})

test('without a record a service is enough, and without both nothing needs it', async () => {
  const cluster = await running()
  await cluster.swarm.removeConfig(cluster.record('web')?.config.id ?? '')
  expect(await states(cluster)).toEqual([['web', 'InUse']])
  await cluster.swarm.removeService(cluster.swarm.service('vm-web')?.id ?? '')
  expect(await states(cluster)).toEqual([['web', 'Ownerless']])
})

test('a disk is in use or retained although its record lost the labels that it can be listed by', async () => {
  for (const label of ['swarmvirt.component', 'swarmvirt.vm', 'swarmvirt.uid']) {
    const cluster = await running()
    cluster.remove('web')
    await cluster.converge()
    const config = cluster.record('web')?.config
    if (config === undefined) throw new Error('web has no record')
    const { [label]: _lost, ...labels } = config.labels
    await cluster.swarm.updateConfigLabels(config, labels)
    expect(await states(cluster)).toEqual([['web', 'Retained']])
  }
})

test('what another cluster left is its own, and what has no name is nobody’s', async () => {
  const cluster = new Cluster(['n1'])
  const disks = [{ name: 'root', sizeBytes: 1, allocatedBytes: 1 }]
  cluster.agent('n1').held.set(uids.other, { uid: uids.other, vm: aVmName('web'), cluster: 'there', disks, granted: false })
  cluster.agent('n1').held.set(uids.nameless, { uid: uids.nameless, vm: null, cluster: null, disks, granted: false })
  expect(await states(cluster)).toEqual([
    [null, 'Ownerless'],
    ['web', 'Foreign'],
  ])
})

test('a node that may hold disks and does not answer is named, and one that never had an agent is not', async () => {
  const cluster = new Cluster(['n1', 'n2'])
  cluster.agent('n2').away = true
  await cluster.converge()
  cluster.agent('n1').away = true
  expect(await view(cluster)).toEqual({ disks: [], unasked: [{ node: 'n1', message: 'connect ECONNREFUSED' }] })
})
