import { beforeEach, describe, expect, test } from 'vitest'
import { suspending } from '../../../src/controller/api/suspend.ts'
import { PortError } from '../../../src/ports/errors.ts'
import { aVm, Cluster } from '../../simulation/cluster.ts'
import { silentLog } from './virtual-clock.ts'

let cluster: Cluster
let lookedAt: string[]

beforeEach(async () => {
  cluster = new Cluster()
  cluster.declare('web')
  await cluster.converge()
  lookedAt = []
})

function verbs() {
  const store = cluster.ports().declarations
  return suspending({ swarm: cluster.swarm, store, log: silentLog, lookAt: (vm) => void lookedAt.push(vm) })
}

function noted(): string | undefined {
  return cluster.record('web')?.config.labels['swarmvirt.suspended']
}

function declareSuspended(): void {
  const declared = aVm('web')
  const metadata = { ...declared.vm.metadata, annotations: { 'swarmvirt.dev/suspend': 'true' } }
  cluster.declared.set('web', { ...declared, vm: { ...declared.vm, metadata } })
}

describe('suspend and resume', () => {
  test('write the note on the placement record and take it away again, and leave its other labels', async () => {
    const before = cluster.record('web')?.config.labels
    expect(await verbs().suspend('web')).toEqual({ kind: 'done', changed: true })
    expect(noted()).toBe('true')
    expect(await verbs().resume('web')).toEqual({ kind: 'done', changed: true })
    expect(cluster.record('web')?.config.labels).toEqual(before)
    expect(lookedAt).toEqual(['web', 'web'])
  })

  test('write nothing if nothing changes', async () => {
    await verbs().suspend('web')
    const { writes } = cluster.swarm
    expect(await verbs().suspend('web')).toEqual({ kind: 'done', changed: false })
    expect(cluster.swarm.writes).toBe(writes)
  })

  test('know no VM that nobody declared', async () => {
    expect(await verbs().suspend('nobody')).toEqual({ kind: 'unknown' })
    expect(await verbs().resume('nobody')).toEqual({ kind: 'unknown' })
  })

  test('without a placement record name the annotation', async () => {
    cluster.declare('new')
    expect(await verbs().suspend('new')).toMatchObject({
      kind: 'refused',
      message: expect.stringContaining('swarmvirt.dev/suspend: "true"') as string,
    })
  })

  test('leave a config alone that has the name and is none of ours', async () => {
    const config = cluster.record('web')?.config
    const { 'swarmvirt.managed-by': _ours, ...labels } = config?.labels ?? {}
    if (config !== undefined) await cluster.swarm.updateConfigLabels(config, labels)
    expect(await verbs().suspend('web')).toMatchObject({ kind: 'refused' })
    expect(noted()).toBeUndefined()
  })

  test('win over a reconciler that writes the record at the same time', async () => {
    let once = true
    cluster.swarm.beforeWrite = (what) => {
      if (what !== 'updateConfigLabels' || !once) return
      once = false
      const config = cluster.record('web')?.config
      if (config !== undefined) void cluster.swarm.updateConfigLabels(config, { ...config.labels, other: 'label' })
    }
    expect(await verbs().suspend('web')).toEqual({ kind: 'done', changed: true })
    expect(cluster.record('web')?.config.labels).toMatchObject({ other: 'label', 'swarmvirt.suspended': 'true' })
  })

  test('reject where Docker does not answer', async () => {
    cluster.swarm.beforeWrite = () => {
      throw new PortError('Unavailable', 'no leader')
    }
    await expect(verbs().suspend('web')).rejects.toThrow('no leader')
  })

  test('do not resume what the manifest suspends, and say so', async () => {
    declareSuspended()
    await cluster.converge()
    expect(await verbs().resume('web')).toMatchObject({ kind: 'refused', message: expect.stringContaining('manifest of web') as string })
    expect(noted()).toBe('manifest')
    cluster.remove('web')
    expect(await verbs().resume('web')).toEqual({ kind: 'done', changed: true })
    await cluster.converge()
    expect(cluster.swarm.service('vm-web')).toBeUndefined()
  })
})
