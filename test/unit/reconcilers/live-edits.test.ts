import { expect, test } from 'vitest'
import type { VirtualMachine } from '../../../src/api/manifest.ts'
import { marked } from '../../../src/api/wire/unchanged.ts'
import { preparedConditions } from '../../../src/reconcilers/assets/conditions.ts'
import type { AssetsSeen } from '../../../src/reconcilers/assets/observe.ts'
import { prepareOrderFor } from '../../../src/reconcilers/assets/order.ts'
import { editsBetween, restartHash } from '../../../src/reconcilers/services/restart-inputs.ts'
import type { PlacementRecord } from '../../../src/reconcilers/shared/placement-record.ts'
import { aVm, type SpecChanges, settings } from '../../simulation/cluster.ts'
import { started, wantedBy } from './started.ts'

const disk = { name: 'root', size: '2Gi', image: { source: 'images/tiny.qcow2' } }
const vmOf = (spec: SpecChanges = {}): VirtualMachine => aVm('web', spec).vm
const plain = vmOf()
const record = { uid: 'u', vm: 'web', disksMade: true } as unknown as PlacementRecord
const orderOf = (vm: VirtualMachine) => prepareOrderFor(settings, vm, record, undefined).live

const edits: readonly (readonly [string, SpecChanges, string, unknown])[] = [
  ['a link', { networks: [{ name: 'lan', bridge: 'br0', state: 'down' }] }, 'spec.networks[0].state', { down: ['lan'] }],
  ['a limit', { disks: [{ ...disk, limits: { iops: 9 } }] }, 'spec.disks[0].limits.iops', { limits: [{ disk: 'root', iops: 9 }] }],
  ['a target', { memoryTarget: '64Mi' }, 'spec.memoryTarget', { memoryTargetMiB: 64 }],
]

test.each(edits)('%s travels in the order, and restarts no VM whose runner reads the live part', (_what, spec, _path, live) => {
  const vm = vmOf(spec)
  expect(orderOf(vm)).toEqual(live)
  expect(restartHash({ ...wantedBy(vm), liveEdits: true })).toBe(restartHash({ ...wantedBy(plain), liveEdits: true }))
  expect(editsBetween(started(plain), wantedBy(vm))).toEqual([])
})

test.each(edits)('%s waits for a restart of a VM that release 0.1 started', (_what, spec, path) => {
  const vm = vmOf(spec)
  expect(restartHash({ ...wantedBy(vm), liveEdits: false })).not.toBe(restartHash({ ...wantedBy(plain), liveEdits: false }))
  const { launch, ...running } = started(plain)
  const { liveEdits: _liveEdits, ...old } = launch
  expect(editsBetween({ ...running, launch: old }, wantedBy(vm))).toMatchObject([{ path, effect: 'restart' }])
})

test('the hash of a VM without a live part is that of release 0.1', () => {
  expect(restartHash({ ...wantedBy(plain), liveEdits: false })).toBe(restartHash(wantedBy(plain)))
  expect(orderOf(plain)).toBeUndefined()
  expect(orderOf(vmOf({ networks: [{ name: 'lan', bridge: 'br0', state: 'up' }] }))).toBeUndefined()
})

/** AssetsReady of a VM with one network down, after this answer of its agent. */
function assetsReady(live: { readonly message: string } | undefined) {
  const vm = vmOf({ networks: [{ name: 'lan', bridge: 'br0', state: 'down' }] })
  const order = marked(prepareOrderFor(settings, vm, record, undefined))
  const seen = { order, declaration: { kind: 'present', vm } } as unknown as AssetsSeen
  const status = { state: 'ready', accelerator: 'kvm', emulationReason: '', ...(live && { live }) } as const
  const { conditions, disksMade } = preparedConditions(seen, { known: true, value: status }, 'n1')
  return { ...conditions.find(({ type }) => type === 'AssetsReady'), disksMade }
}

test('an agent that does not keep the live part is too old, and starts no VM that needs it', () => {
  expect(assetsReady(undefined)).toMatchObject({ status: 'False', reason: 'AgentTooOld', disksMade: false })
})

test('a VM whose guest does not have an edit runs on, and says which and why', () => {
  expect(assetsReady({ message: '' })).toMatchObject({ status: 'True', message: 'image, disk and grant are ready on n1' })
  expect(assetsReady({ message: 'disc of drive tools: no' })).toMatchObject({
    status: 'True',
    message: expect.stringMatching(/the running guest does not have all live edits: disc of drive tools: no$/),
  })
})
