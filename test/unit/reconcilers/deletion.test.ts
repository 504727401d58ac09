import { describe, expect, test } from 'vitest'
import { PortError } from '../../../src/ports/errors.ts'
import { Cluster } from '../../simulation/cluster.ts'
import { aVmName } from '../../support/branded.ts'

const deletes = { deletionPolicy: 'Delete' }

async function running(spec: Record<string, unknown> = deletes): Promise<Cluster> {
  const cluster = new Cluster()
  cluster.declare('web', spec)
  await cluster.converge()
  expect(cluster.starts('web')).toBe(1)
  return cluster
}

function disks(cluster: Cluster): number {
  return ['n1', 'n2', 'n3'].reduce((sum, name) => sum + cluster.agent(name).held.size, 0)
}

/** Until nobody does anything more, failures included. */
async function rounds(cluster: Cluster, count = 12): Promise<void> {
  for (let round = 0; round < count; round += 1) await cluster.round()
}

async function labelRecord(cluster: Cluster, label: string, value: string): Promise<void> {
  const config = cluster.record('web')?.config
  if (config !== undefined) await cluster.swarm.updateConfigLabels(config, { ...config.labels, [label]: value })
}

describe('deletionPolicy: Delete', () => {
  test('takes disks, grant and record with the VM, and the next one of its name is another', async () => {
    const cluster = await running()
    const uid = cluster.record('web')?.uid
    cluster.remove('web')
    await cluster.converge()
    expect([disks(cluster), cluster.record('web'), cluster.swarm.configs.size, cluster.swarm.services.size]).toEqual([0, undefined, 0, 0])
    cluster.declare('web', deletes)
    await cluster.converge()
    expect(cluster.said('web', 'ServiceReady')).toBe('True TaskRunning')
    expect(cluster.record('web')?.uid).not.toBe(uid)
  })

  test.each([
    ['Retain', { deletionPolicy: 'Retain' }],
    ['nothing', {}],
  ])('of a manifest that says %s is kept', async (_what, spec) => {
    const cluster = await running(spec)
    cluster.remove('web')
    await cluster.converge()
    expect([disks(cluster), cluster.record('web')?.retainedAt !== undefined, cluster.record('web')?.deletingAt]).toEqual([
      1,
      true,
      undefined,
    ])
  })

  test('is noted in the record as one to confirm, also after one controller received the confirmation, until the manifest is back', async () => {
    const cluster = await running()
    const policy = () => cluster.record('web')?.config.labels['swarmvirt.deletion-policy']
    const waits = { kind: 'unknown', message: 'blocked', deletionPolicy: 'Delete' } as const
    cluster.declared.set('web', { ...waits, mustConfirm: true })
    await cluster.converge()
    expect([policy(), cluster.record('web')?.deletes]).toEqual(['Confirm', true])
    // After a start, before anything was read.
    cluster.declared.set('web', { kind: 'unknown', message: 'not read yet' })
    await cluster.converge()
    expect(policy()).toBe('Confirm')
    // Another controller did not hear it, and still writes Confirm.
    cluster.declared.set('web', { ...waits, mustConfirm: false })
    await cluster.converge()
    expect(policy()).toBe('Confirm')
    cluster.declare('web', deletes)
    await cluster.converge()
    expect(policy()).toBe('Delete')
  })

  test('is what the manifest said last, without touching the service', async () => {
    const cluster = await running()
    const version = cluster.swarm.service('vm-web')?.spec['TaskTemplate']
    cluster.declare('web')
    await cluster.converge()
    expect([cluster.record('web')?.deletes, cluster.starts('web'), cluster.swarm.service('vm-web')?.spec['TaskTemplate']]).toEqual([
      false,
      1,
      version,
    ])
    const { writes } = cluster.swarm
    await cluster.converge()
    expect(cluster.swarm.writes).toBe(writes)
    cluster.remove('web')
    await cluster.converge()
    expect(disks(cluster)).toBe(1)
    cluster.declare('web', deletes)
    await cluster.converge()
    cluster.remove('web')
    await cluster.converge()
    expect(disks(cluster)).toBe(0)
  })

  test('waits for a node that does not answer, and finishes although the manifest is back', async () => {
    const cluster = await running()
    const uid = cluster.record('web')?.uid
    cluster.remove('web')
    await cluster.round()
    cluster.agent('n1').away = true
    await rounds(cluster)
    expect([disks(cluster), cluster.said('web', 'Placed')]).toEqual([1, 'False DeletingDisks'])
    cluster.declare('web', deletes)
    await rounds(cluster)
    expect([cluster.said('web', 'Placed'), cluster.swarm.service('vm-web'), cluster.record('web')?.uid]).toEqual([
      'False DeletingDisks',
      undefined,
      uid,
    ])
    cluster.agent('n1').away = false
    await cluster.converge()
    expect([disks(cluster), cluster.said('web', 'ServiceReady')]).toEqual([1, 'True TaskRunning'])
    expect(cluster.record('web')?.uid).not.toBe(uid)
  })

  test('deletes nothing while a service of the VM is there, nor of a VM that a person took from us', async () => {
    const cluster = await running()
    cluster.swarm.edit('vm-web', (spec) => void delete (spec['Labels'] as Record<string, string>)['swarmvirt.managed-by'])
    cluster.remove('web')
    await cluster.converge()
    expect([disks(cluster), cluster.record('web')?.deletingAt]).toEqual([1, undefined])
  })

  test('removes a service that another controller made while the disks were going', async () => {
    const cluster = await running()
    const spec = cluster.swarm.service('vm-web')?.spec ?? {}
    cluster.remove('web')
    await cluster.swarm.removeService(cluster.swarm.service('vm-web')?.id ?? '')
    await labelRecord(cluster, 'swarmvirt.deleting-at', '2026-01-01T00:00:00Z')
    await cluster.swarm.createService(spec)
    cluster.declare('web', deletes)
    await cluster.converge()
    expect(disks(cluster)).toBe(1)
    expect(cluster.starts('web')).toBe(1)
    expect(cluster.said('web', 'ServiceReady')).toBe('True TaskRunning')
  })

  test('deletes what has the uid, the name and the cluster of the record, and says what else it finds', async () => {
    const cluster = await running()
    const uid = cluster.record('web')?.uid ?? ''
    const held = cluster.agent('n1').held.get(uid)
    if (held !== undefined) cluster.agent('n1').held.set(uid, { ...held, vm: aVmName('shop') })
    cluster.remove('web')
    await rounds(cluster)
    expect([disks(cluster), cluster.record('web')?.uid]).toEqual([1, uid])
    expect(cluster.errors.at(-1)).toMatch(/Invalid IdentityMismatch/)
  })

  test('keeps the disks if their node has left the Swarm, and does nothing while it is suspended', async () => {
    const gone = await running()
    gone.swarm.nodes.delete('node-n1')
    gone.remove('web')
    await gone.converge()
    expect([disks(gone), gone.record('web')?.retainedAt !== undefined]).toEqual([1, true])
    const held = await running()
    await labelRecord(held, 'swarmvirt.suspended', 'true')
    held.remove('web')
    await held.converge()
    expect([disks(held), held.starts('web'), held.record('web')?.deletingAt]).toEqual([1, 1, undefined])
  })
})

describe('the deletion policy of the last manifest', () => {
  const refuse = (kind: 'Invalid' | 'Denied') => (cluster: Cluster) => {
    cluster.agent('n1').prepare = async () => Promise.reject(new PortError(kind, 'no such order'))
  }

  test.each<readonly [string, (cluster: Cluster) => Promise<void> | void]>([
    ['it is suspended', async (cluster) => labelRecord(cluster, 'swarmvirt.suspended', 'true')],
    ['its agent does not answer', (cluster) => void (cluster.agent('n1').away = true)],
    ['its agent refuses the edit', (cluster) => void (cluster.agent('n1').refusal = { state: 'failed', reason: 'DiskInUse', message: '' })],
    ['its agent does not know the order', refuse('Invalid')],
    ['its agent is not allowed to follow the order', refuse('Denied')],
    ['its node is no member', (cluster) => void cluster.swarm.nodes.delete('node-n1')],
    [
      'nobody can say which disk is its own',
      (cluster) => {
        cluster.swarm.nodes.delete('node-n1')
        for (const name of ['n2', 'n3']) for (const [uid, held] of cluster.agent('n1').held) cluster.agent(name).held.set(uid, { ...held })
      },
    ],
    [
      'a person took its service',
      (cluster) => cluster.swarm.edit('vm-web', (spec) => void delete (spec['Labels'] as Record<string, string>)['swarmvirt.managed-by']),
    ],
  ])('is on the record although %s', async (_why, befall) => {
    for (const [first, last] of [
      ['Delete', 'Retain'],
      ['Retain', 'Delete'],
    ] as const) {
      const cluster = await running({ deletionPolicy: first })
      await befall(cluster)
      cluster.declare('web', { deletionPolicy: last })
      await rounds(cluster)
      expect(cluster.record('web')?.deletes).toBe(last === 'Delete')
    }
  })

  test('counts where it was never written', async () => {
    const [kept, gone] = [await running(), await running({})]
    kept.declared.set('web', { kind: 'removed', deletionPolicy: 'Retain' })
    gone.declared.set('web', { kind: 'removed', deletionPolicy: 'Delete' })
    await kept.converge()
    await gone.converge()
    expect([disks(kept), disks(gone)]).toEqual([1, 0])
  })

  test('is written in the grace as well', async () => {
    const cluster = await running()
    cluster.declared.set('web', { kind: 'unknown', message: '', deletionPolicy: 'Retain' })
    await cluster.converge()
    cluster.remove('web')
    await cluster.converge()
    expect(disks(cluster)).toBe(1)
  })
})
