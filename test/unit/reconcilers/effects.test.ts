import { describe, expect, it } from 'vitest'
import { marked } from '../../../src/api/wire/unchanged.ts'
import type { SwarmConfig } from '../../../src/ports/swarm.ts'
import type { AssetsAction } from '../../../src/reconcilers/assets/actions.ts'
import { effectOfAssets } from '../../../src/reconcilers/assets/effect.ts'
import { prepareOrderFor } from '../../../src/reconcilers/assets/order.ts'
import type { Effect } from '../../../src/reconcilers/reconciler.ts'
import type { ServicesAction, UpdateService } from '../../../src/reconcilers/services/actions.ts'
import { effectOfServices } from '../../../src/reconcilers/services/effect.ts'
import type { PlacementRecord } from '../../../src/reconcilers/shared/placement-record.ts'
import { aVm } from '../../simulation/cluster.ts'
import { aNodeId } from '../../support/branded.ts'

const config: SwarmConfig = { id: 'c1', name: 'sv-vm-web', version: 1, labels: {}, createdAt: '', data: new Uint8Array() }
const labelled: AssetsAction = { kind: 'updateRecordLabels', config, labels: {}, corrects: [] }
const update: UpdateService = {
  kind: 'updateService',
  id: 's1',
  name: 'vm-web',
  version: 1,
  spec: {},
  touches: 'template',
  why: 'the manifest changed',
  corrects: [],
}

describe('disruptive actions', () => {
  it('is a service that is changed or removed', () => {
    expect(effectOfServices(update).disruptive).toBe(true)
    expect(effectOfServices({ ...update, touches: 'surroundings' }).disruptive).toBe(true)
    expect(effectOfServices({ kind: 'removeService', id: 's1', name: 'vm-web' }).disruptive).toBe(true)
    const others: readonly ServicesAction[] = [
      { kind: 'createService', name: 'vm-web', spec: {} },
      { kind: 'removeConfig', id: 'c1', name: 'sv-1' },
      { kind: 'takeLease', config: undefined },
    ]
    expect(others.map((action) => effectOfServices(action).disruptive)).toEqual([false, false, false])
  })

  it('is the end of a VM and of its disks', () => {
    const order = { orderVersion: 1, vm: 'web' } as unknown as Extract<AssetsAction, { kind: 'deleteDisks' }>['order']
    expect(effectOfAssets({ kind: 'deleteDisks', nodeId: aNodeId('n1'), order }).disruptive).toBe(true)
    expect(effectOfAssets({ ...labelled, endsVm: true }).disruptive).toBe(true)
    expect(effectOfAssets(labelled).disruptive).toBe(false)
    expect(effectOfAssets({ kind: 'removeRecord', id: 'c1', name: 'sv-vm-web' }).disruptive).toBe(false)
  })

  it('is an order that allows a disk to be replaced', () => {
    const vm = aVm('web').vm
    const record = { uid: '6f1b3a52-3c1d-4a89-9a53-0f6f4f1f9c11', vm: 'web', disksMade: true } as PlacementRecord
    const order = marked(prepareOrderFor({ cluster: 'lab', softwareEmulation: true }, vm, record, undefined))
    const replaceDisks = [{ disk: 'root', token: '0123456789abcdef' }]
    expect(effectOfAssets({ kind: 'prepare', nodeId: aNodeId('n1'), order }).disruptive).toBe(false)
    expect(effectOfAssets({ kind: 'prepare', nodeId: aNodeId('n1'), order: { ...order, replaceDisks } }).disruptive).toBe(true)
  })
})

describe('drift', () => {
  const messages = (effect: Effect): readonly string[] | undefined => effect.drift?.messages

  it('is a service that had been there', () => {
    const { drift, event } = effectOfServices({ kind: 'createService', name: 'vm-web', spec: {} })
    expect(drift).toMatchObject({ kinds: ['service'], counts: 'ifHadService' })
    expect(event?.reason).toBe('ServiceCreated')
  })

  it('names the fields of a service that are restored', () => {
    const effect = effectOfServices({ ...update, corrects: ['replicas'], changed: ['Mode.Replicated.Replicas 1 → 0'] })
    expect(messages(effect)).toEqual([
      'somebody other than swarmvirt changed the service vm-web (Mode.Replicated.Replicas 1 → 0); restored',
    ])
    expect(messages(effectOfServices({ ...update, corrects: ['replicas', 'template'] }))?.[0]).toContain('(replicas)')
    expect(effectOfServices(update).drift).toBeUndefined()
  })

  it('is a placement record that lost its labels or itself', () => {
    expect(messages(effectOfAssets({ ...labelled, corrects: ['placement_record'] }))).toEqual([
      'somebody other than swarmvirt removed labels from the placement record; restored',
    ])
    const created: AssetsAction = {
      kind: 'createRecord',
      name: 'sv-vm-web',
      labels: {},
      data: new Uint8Array(),
      corrects: ['placement_record'],
    }
    expect(messages(effectOfAssets(created))?.[0]).toContain('removed the config sv-vm-web')
    expect(effectOfAssets({ ...created, corrects: [] }).drift).toBeUndefined()
  })
})

it('is an event only where a guest notices it', () => {
  expect(effectOfServices(update).event).toEqual({ reason: 'ServiceUpdated', message: 'updated the service vm-web: the manifest changed' })
  expect(effectOfServices({ ...update, touches: 'surroundings' }).event).toBeUndefined()
})
