import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { disksOf, liveInputs, readLaunch } from '../../runner/launch-files.ts'
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

const mebibyte = 1024 ** 2

test('a disk that has grown has the size of the identity, unless the guest cannot write to it', () => {
  const disks = ['root', 'archive', 'data'].map((name) => ({ name, sizeBytes: 4096, ...(name === 'data' ? {} : { createdBytes: 1024 }) }))
  const grown = { ...launch, disks: [{ name: 'root' }, { name: 'archive', readOnly: true as const }, { name: 'data' }] }
  expect(liveInputs(grown, { ...known, disks }, { version: 1 }, String).sizes).toEqual([{ node: 'disk0', sizeBytes: 4096 }])
})

test('without a live part, everything is as QEMU begins', () => {
  expect(liveInputs(launch, known, { version: 1 }, String)).toEqual({
    sizes: [],
    limits: [{ name: 'root', device: '/machine/peripheral/disk0-device/virtio-backend', iops: 0, bytes: 0 }],
    discs: [],
    links: [{ name: 'lan', device: 'nic0-device', up: true }],
    memory: { fullBytes: launch.memoryMiB * mebibyte, targetBytes: launch.memoryMiB * mebibyte },
  })
})

test('the live part names disks, drives and networks, which QEMU numbers in the order of the launch config', () => {
  const disks = [{ name: 'tools', cdrom: { bus: 'sata' as const } }, { name: 'root' }, { name: 'empty', cdrom: { bus: 'sata' as const } }]
  const sha256 = 'a'.repeat(64)
  const part = {
    version: 1 as const,
    cdroms: [{ name: 'tools', sha256, path: 'isos/a.iso' }],
    limits: [{ disk: 'root', iops: 100 }],
    down: ['lan'],
    memoryTargetMiB: 128,
  }
  expect(liveInputs({ ...launch, disks }, known, part, (name) => `/vm/isos/${name}`)).toMatchObject({
    limits: [{ name: 'root', device: '/machine/peripheral/disk0-device/virtio-backend', iops: 100, bytes: 0 }],
    discs: [
      { name: 'tools', path: `/vm/isos/${sha256}` },
      { name: 'empty', path: undefined },
    ],
    links: [{ name: 'lan', device: 'nic0-device', up: false }],
    memory: { targetBytes: 128 * mebibyte },
  })
})
