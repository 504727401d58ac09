import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { disksOf, readLaunch } from '../../runner/launch-files.ts'
import { identity } from '../../src/api/wire/identity.ts'
import { launchConfig } from '../../src/api/wire/launch.ts'
import { inputsOf } from '../../src/reconcilers/services/inputs.ts'
import type { WantedVm } from '../../src/reconcilers/services/restart-inputs.ts'
import { aVm } from '../simulation/cluster.ts'
import { wantedBy } from './reconcilers/started.ts'

const recorded = (name: string): unknown => JSON.parse(readFileSync(join(import.meta.dirname, '../golden/0.1', name), 'utf8'))
const launch = launchConfig.parse(recorded('launch.json'))
const known = identity.parse(recorded('identity.json'))

test('a VM of release 0.1 starts with its disk in the slot that it always had', () => {
  expect(disksOf(launch, known, (name) => `/vm/disks/${name}.qcow2`)).toEqual([
    { name: 'root', path: '/vm/disks/root.qcow2', slot: 10, readOnly: false, bootIndex: 1 },
  ])
})

test('a launch config has version 1 until it has a key that a runner of release 0.1 would ignore', () => {
  const needsOf = (wanted: WantedVm): unknown => {
    const { version, needs } = launchConfig.parse(JSON.parse(inputsOf(wanted).launchText))
    return version === 1 ? 'none' : needs
  }
  const { vm } = aVm('web')
  const [disk] = vm.spec.disks
  const grown = [{ name: 'root', createdBytes: 1024, sizeBytes: 2048 }]
  expect(needsOf(wantedBy(vm))).toBe('none')
  expect(needsOf(wantedBy(aVm('web', { disks: [{ ...disk, size: '2Gi', readOnly: true }] }).vm))).toEqual(['readOnlyDisks'])
  expect(needsOf({ ...wantedBy(vm), grown })).toEqual(['diskSizes'])
  const ipv4 = { address: '10.0.0.5/24' }
  expect(needsOf(wantedBy(aVm('web', { networks: [{ name: 'lan', bridge: 'br0', ipv4 }] }).vm))).toEqual(['staticAddresses'])
})

test('a runner starts no VM with a need that it does not know, and ignores an unknown key without one', async () => {
  const reading = (document: unknown) => readLaunch({ readText: async () => JSON.stringify(document) }, '/launch.json')
  expect((await reading({ ...launch, invented: true })).launch).toEqual(launch)
  await expect(reading({ ...launch, version: 2, needs: ['invented'] })).rejects.toThrow('/launch.json is not valid: needs.0')
})

test('the launch config says which disks are attached and in which order, and the identity in which slots', () => {
  const disks = [...known.disks, { name: 'data', sizeBytes: 1, slot: 14 }, { name: 'removed', sizeBytes: 1, slot: 12 }]
  const ordered = { ...launch, disks: [{ name: 'data', readOnly: true as const }, { name: 'root' }] }
  expect(disksOf(ordered, { ...known, disks }, (name) => name)).toEqual([
    { name: 'data', path: 'data', slot: 14, readOnly: true, bootIndex: 1 },
    { name: 'root', path: 'root', slot: 10, readOnly: false, bootIndex: 2 },
  ])
})

test('a disk grows to the size of the launch config, but not beyond the one in the identity', () => {
  const disks = [{ name: 'root', sizeBytes: 2048 }]
  const grownTo = (sizeBytes: number) => disksOf({ ...launch, disks: [{ name: 'root', sizeBytes }] }, { ...known, disks }, (name) => name)
  expect([grownTo(1024), grownTo(4096)].flat().map(({ sizeBytes }) => sizeBytes)).toEqual([1024, 2048])
})
