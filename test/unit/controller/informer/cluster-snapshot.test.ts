import { expect, test } from 'vitest'
import { deterministicMac } from '../../../../src/api/mac.ts'
import { snapshotReader } from '../../../../src/controller/informer/cluster-snapshot.ts'
import { informedSwarm } from '../../../../src/controller/informer/informed-swarm.ts'
import { Cluster } from '../../../simulation/cluster.ts'
import { virtualClock } from '../virtual-clock.ts'
import { aVmName } from '../../../support/branded.ts'

async function vmsOf(cluster: Cluster): Promise<Record<string, object>> {
  const world = await snapshotReader('lab')(cluster.swarm, new AbortController().signal)
  return Object.fromEntries(world.vms)
}

async function placed(): Promise<Cluster> {
  const cluster = new Cluster()
  cluster.declare('web')
  await cluster.converge()
  return cluster
}

test('a VM is known with the generation of its service and the source of its record', async () => {
  const cluster = await placed()
  const declared = cluster.declared.get('web')
  expect(await vmsOf(cluster)).toEqual({
    web: {
      generation: declared?.kind === 'present' ? declared.generation : undefined,
      source: 'directory',
      macs: [deterministicMac('lab', aVmName('web'), 'lan')],
    },
  })
})

test('a VM is known with the static addresses that its guest was started with', async () => {
  const cluster = new Cluster()
  cluster.declare('web', { networks: [{ name: 'lan', bridge: 'br0', ipv4: { address: '10.0.0.5/24' } }] })
  await cluster.converge()
  expect(await vmsOf(cluster)).toMatchObject({ web: { addresses: ['10.0.0.5'] } })
})

test('a record without the source label, as an earlier release wrote it, has no known source', async () => {
  const cluster = await placed()
  const record = cluster.record('web')?.config
  if (record === undefined) throw new Error('no record')
  const { 'swarmvirt.source': _source, ...labels } = record.labels
  await cluster.swarm.updateConfigLabels(record, labels)
  expect(await vmsOf(cluster)).toMatchObject({ web: { generation: expect.any(String), source: undefined } })
})

test('a VM without a service is found by its placement record, but not once the record is retained', async () => {
  const cluster = await placed()
  await cluster.swarm.removeService(cluster.swarm.service('vm-web')?.id ?? '')
  expect(await vmsOf(cluster)).toEqual({ web: { generation: undefined, source: 'directory', macs: [] } })
  cluster.remove('web')
  await cluster.converge()
  expect(await vmsOf(cluster)).toEqual({})
})

test('a VM whose removal was interrupted is found by its remaining launch config or secret', async () => {
  const cluster = await placed()
  await cluster.swarm.removeService(cluster.swarm.service('vm-web')?.id ?? '')
  const record = cluster.record('web')?.config
  if (record === undefined) throw new Error('no record')
  await cluster.swarm.updateConfigLabels(record, { ...record.labels, 'swarmvirt.retained-at': '2026-01-01T00:00:00Z' })
  expect(await vmsOf(cluster)).toEqual({ web: { generation: undefined, source: undefined, macs: [] } })
})

test('a record of a name that no VM can have is no record', async () => {
  const cluster = await placed()
  const record = cluster.record('web')?.config
  if (record === undefined) throw new Error('no record')
  const named = (vm: string): Uint8Array => new TextEncoder().encode(new TextDecoder().decode(record.data).replace('"web"', `"${vm}"`))
  for (const vm of ['db', 'Web_1', 'a.b']) await cluster.swarm.createConfig(`sv-vm-${vm}`, record.labels, named(vm))
  expect(Object.keys(await vmsOf(cluster)).toSorted()).toEqual(['db', 'web'])
})

async function relabel(cluster: Cluster, name: string, change: (labels: Record<string, string>) => void): Promise<void> {
  const config = cluster.swarm.config(name)
  if (config === undefined) throw new Error(`no config ${name}`)
  const labels = { ...config.labels }
  change(labels)
  await cluster.swarm.updateConfigLabels(config, labels)
}

test.each(['swarmvirt.vm', 'swarmvirt.component'])('a VM is known although its service or its record lost the label %s', async (label) => {
  const [serving, recorded] = [await placed(), await placed()]
  serving.swarm.edit('vm-web', (spec) => delete (spec['Labels'] as Record<string, string>)[label])
  expect(await vmsOf(serving)).toMatchObject({ web: { source: 'directory', macs: [deterministicMac('lab', aVmName('web'), 'lan')] } })
  await recorded.swarm.removeService(recorded.swarm.service('vm-web')?.id ?? '')
  await relabel(recorded, 'sv-vm-web', (labels) => delete labels[label])
  expect(await vmsOf(recorded)).toMatchObject({ web: { source: 'directory' } })
})

test('objects of an earlier VM with the same name, but another uid, do not count', async () => {
  const cluster = await placed()
  const launch = [...cluster.swarm.configs.values()].find((one) => one.labels['swarmvirt.component'] === 'launch')
  cluster.remove('web')
  await cluster.converge()
  const labels = { ...launch?.labels, 'swarmvirt.uid': '99999999-2222-4333-8444-555555555555' }
  await cluster.swarm.createConfig('sv-other', labels, new Uint8Array([1]))
  await cluster.converge()
  expect(cluster.swarm.config('sv-other')).toBeDefined()
  expect(await vmsOf(cluster)).toEqual({})
})

test('a VM has the MACs that its service starts it with, and not those of an edit that waits', async () => {
  const cluster = await placed()
  cluster.declare('web', { networks: [{ name: 'lan', bridge: 'br0', mac: '52:54:00:00:00:07' }] })
  await cluster.converge()
  expect(await vmsOf(cluster)).toMatchObject({ web: { macs: [deterministicMac('lab', aVmName('web'), 'lan')] } })
})

test('the MACs are not known while the launch config cannot be seen: a list may be older than the service', async () => {
  const cluster = await placed()
  for (const [id, config] of cluster.swarm.configs) if (config.labels['swarmvirt.component'] === 'launch') cluster.swarm.configs.delete(id)
  expect((await vmsOf(cluster))['web']).toHaveProperty('macs', undefined)
})

test('the same snapshot is returned while the lists are unchanged', async () => {
  const cluster = await placed()
  const held = { nodes: await cluster.swarm.listNodes(), services: await cluster.swarm.listServices() }
  // As the adapter gives them: the same list while Docker says the same.
  const raw = Object.assign(Object.create(cluster.swarm) as typeof cluster.swarm, {
    listNodes: async () => held.nodes,
    listServices: async () => held.services,
  })
  const informed = informedSwarm(raw, virtualClock())
  const read = snapshotReader('lab')
  const world = await read(informed.swarm, new AbortController().signal)
  await informed.relist('often')
  expect(await read(informed.swarm, new AbortController().signal)).toBe(world)
  held.nodes = held.nodes.map((node) => ({ ...node, version: node.version + 1 }))
  await informed.relist('often')
  expect(await read(informed.swarm, new AbortController().signal)).not.toBe(world)
})
