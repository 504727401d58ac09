import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { disksOf } from '../../runner/launch-files.ts'
import { identity } from '../../src/api/wire/identity.ts'
import { launchConfig } from '../../src/api/wire/launch.ts'

const recorded = (name: string): unknown => JSON.parse(readFileSync(join(import.meta.dirname, '../golden/0.1', name), 'utf8'))
const launch = launchConfig.parse(recorded('launch.json'))
const known = identity.parse(recorded('identity.json'))

test('a VM of release 0.1 starts with its disk in the slot that it always had', () => {
  expect(disksOf(launch, known, (name) => `/vm/disks/${name}.qcow2`)).toEqual([
    { name: 'root', path: '/vm/disks/root.qcow2', slot: 10, readOnly: false, bootIndex: 1 },
  ])
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
