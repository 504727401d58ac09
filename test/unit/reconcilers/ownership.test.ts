import { describe, expect, test } from 'vitest'
import { canonicalJson } from '../../../src/api/hash.ts'
import type { Labels } from '../../../src/ports/swarm.ts'
import { servicesReconciler } from '../../../src/reconcilers/services/index.ts'
import { Cluster } from '../../simulation/cluster.ts'

type Spec = Record<string, unknown>
const service = 'vm-web'

/** A person removed the mount that names the uid. */
function unmount(spec: Spec): void {
  const container = (spec['TaskTemplate'] as Spec)['ContainerSpec'] as Spec
  container['Mounts'] = []
}

/** Everything of a service that could be written. */
function bytes(cluster: Cluster): string {
  const found = cluster.swarm.service(service)
  return canonicalJson([found?.id, found?.version, found?.spec ?? null])
}

async function taken(labels: Labels): Promise<Cluster> {
  const cluster = new Cluster()
  const TaskTemplate = { ContainerSpec: { Image: 'other:1' } }
  await cluster.swarm.createService({ Name: service, Labels: labels, Mode: { Replicated: { Replicas: 1 } }, TaskTemplate })
  return cluster
}

async function running(): Promise<Cluster> {
  const cluster = new Cluster()
  cluster.declare('web')
  await cluster.converge()
  expect(cluster.starts('web')).toBe(1)
  return cluster
}

describe('a service that somebody else made under the name of a VM’s', () => {
  const mark = { 'swarmvirt.managed-by': 'swarmvirt' }
  test.each<[string, Labels, string]>([
    ['without a label', {}, 'NameTaken'],
    ['with the owner’s label, written by hand', mark, 'NameTaken'],
    ['with all labels but the uid', { ...mark, 'swarmvirt.vm': 'web', 'swarmvirt.component': 'vm' }, 'OwnershipLost'],
    ['with a uid that somebody thought of', { ...mark, 'swarmvirt.uid': '99999999-2222-4333-8444-555555555555' }, 'ForeignUid'],
  ])('%s is the same byte for byte, whatever becomes of the manifest', async (_what, labels, reason) => {
    const cluster = await taken(labels)
    const before = bytes(cluster)
    cluster.declare('web')
    await cluster.converge()
    expect([cluster.said('web', 'Owned'), bytes(cluster)]).toEqual([`False ${reason}`, before])
    cluster.remove('web')
    await cluster.converge()
    expect(bytes(cluster)).toBe(before)
  })
})

test('a service that carries every label of a VM’s, and nothing else that is swarmvirt’s, is not removed with a manifest that never was', async () => {
  const uid = '99999999-2222-4333-8444-555555555555'
  const cluster = await taken({
    'swarmvirt.managed-by': 'swarmvirt',
    'swarmvirt.vm': 'web',
    'swarmvirt.component': 'vm',
    'swarmvirt.uid': uid,
  })
  const before = bytes(cluster)
  cluster.remove('web')
  await cluster.converge()
  expect(bytes(cluster)).toBe(before)
})

describe('a service of ours that has lost all that tells whose it is', () => {
  test('stays unchanged, and the command in the message gives it back', async () => {
    const cluster = await running()
    const uid = cluster.record('web')?.uid
    cluster.swarm.edit(service, (spec) => {
      delete (spec['Labels'] as Spec)['swarmvirt.uid']
      unmount(spec)
    })
    const before = bytes(cluster)
    await cluster.converge()
    expect([cluster.said('web', 'Owned'), bytes(cluster)]).toEqual(['False OwnershipLost', before])
    expect(cluster.condition('web', 'Owned')?.message).toContain(`docker service update --label-add swarmvirt.uid=${uid} vm-web`)
    cluster.swarm.edit(service, (spec) => Object.assign(spec['Labels'] as Spec, { 'swarmvirt.uid': uid }))
    await cluster.converge()
    expect(cluster.said('web', 'Owned')).toBe('True Owned')
  })
})

describe('the service of a VM whose manifest is gone', () => {
  const without =
    (...labels: readonly string[]) =>
    (spec: Spec) => {
      for (const label of labels) delete (spec['Labels'] as Spec)[label]
    }
  test.each(['swarmvirt.vm', 'swarmvirt.component', 'swarmvirt.uid', 'swarmvirt.cluster', 'swarmvirt.schema'])(
    'goes with all that is left of the VM although it lost the label %s',
    async (label) => {
      const cluster = await running()
      cluster.swarm.edit(service, without(label))
      cluster.remove('web')
      await cluster.converge()
      const left = [...cluster.swarm.configs.values()].map(({ name }) => name)
      expect([cluster.swarm.service(service), left]).toEqual([undefined, ['sv-vm-web']])
      expect(cluster.record('web')?.retainedAt).toBeDefined()
    },
  )

  test.each<[string, (spec: Spec) => void, string, RegExp]>([
    [
      'its owner’s label',
      without('swarmvirt.managed-by'),
      'OwnershipLost',
      /: docker service update --label-add swarmvirt\.managed-by=swarmvirt vm-web$/,
    ],
    [
      'all that tells its uid',
      (spec) => {
        without('swarmvirt.uid')(spec)
        unmount(spec)
      },
      'OwnershipLost',
      /: docker service update --label-add swarmvirt\.uid=0{8}-\S+ vm-web$/,
    ],
    [
      'its own uid for another one',
      (spec) => {
        unmount(spec)
        Object.assign(spec['Labels'] as Spec, { 'swarmvirt.uid': '99999999-2222-4333-8444-555555555555' })
      },
      'ForeignUid',
      /remove the wrong one/,
    ],
  ])('stays if it lost %s, and the condition says so until it is fixed', async (_what, change, reason, command) => {
    const cluster = await running()
    cluster.swarm.edit(service, change)
    const before = bytes(cluster)
    cluster.remove('web')
    await cluster.converge()
    expect(bytes(cluster)).toBe(before)
    expect([cluster.said('web', 'Owned'), cluster.said('web', 'ServiceReady')]).toEqual([`False ${reason}`, `False ${reason}`])
    expect(cluster.condition('web', 'ServiceReady')?.message).toMatch(command)
    const plan = await cluster.run(servicesReconciler(cluster.ports()), 'web')
    expect(plan?.next).toMatchObject({ kind: 'stalled', reason })
  })
})

describe('a launch config without the owner’s label', () => {
  test('is not written to and not removed, and what waits for it says so', async () => {
    const cluster = await running()
    const launch = [...cluster.swarm.configs.values()].find((one) => one.labels['swarmvirt.component'] === 'launch')
    if (launch === undefined) throw new Error('there is no launch config')
    const { 'swarmvirt.managed-by': _taken, ...labels } = launch.labels
    await cluster.swarm.updateConfigLabels(launch, labels)
    const before = canonicalJson([cluster.swarm.config(launch.name)?.version, cluster.swarm.config(launch.name)?.labels ?? null])
    await cluster.swarm.removeService(cluster.swarm.service(service)?.id ?? '')
    for (let round = 0; round < 5; round += 1) await cluster.round()
    expect(cluster.errors.at(-1)).toMatch(/Invalid sv-.* exists without the labels swarmvirt\.managed-by, .*: restore the labels/)
    cluster.remove('web')
    await cluster.converge()
    const found = cluster.swarm.config(launch.name)
    expect(canonicalJson([found?.version, found?.labels ?? null])).toBe(before)
  })
})
