import { expect, test } from 'vitest'
import type { storedDisks } from '../../../src/api/manifest.ts'
import type { InstanceRecord } from '../../../src/api/wire/agent-api.ts'
import { diskEdits } from '../../../src/reconcilers/assets/disk-edits.ts'

type Made = InstanceRecord['disks'][number]
type Wanted = ReturnType<typeof storedDisks>[number]

const sizeBytes = 1024 ** 3
const image = { source: 'images/a', sha256: 'a'.repeat(64) }
const made = (name: string, change: Partial<Made> = { blank: true }): Made => ({ name, sizeBytes, allocatedBytes: 0, ...change })
const wanted = (name: string, change: Partial<Wanted> = {}): Wanted => ({ name, size: sizeBytes, ...change })
const shown = (there: readonly Made[], disks: readonly Wanted[]) =>
  diskEdits(there, disks).map(({ path, from, to, effect }) => [path, from, to, effect])

const root = made('root', { image })
const declaredRoot = wanted('root', { image: { source: 'images/a' } })

test('a disk that is added or removed destroys nothing', () => {
  expect(shown([root], [declaredRoot, wanted('data')])).toEqual([['spec.disks[1].name', undefined, 'data', 'restart']])
  expect(shown([root, made('data')], [declaredRoot])).toEqual([['spec.disks[1].name', 'data', undefined, 'restart']])
})

test('a new name of a disk with the same image is a rename, and with another image an addition and a removal', () => {
  expect(shown([root, made('data')], [declaredRoot, wanted('store')])).toEqual([['spec.disks[1].name', 'data', 'store', 'destroys-data']])
  expect(shown([root, made('data')], [declaredRoot, wanted('store', { image: { source: 'images/b' } })])).toEqual([
    ['spec.disks[1].name', undefined, 'store', 'restart'],
    ['spec.disks[2].name', 'data', undefined, 'restart'],
  ])
})

test('a disk that left the manifest in an earlier edit is no edit any more', () => {
  expect(shown([root, made('data', { blank: true, removed: true })], [declaredRoot])).toEqual([])
})

test('an image for a blank disk, or none for one from an image, is an edit of the image', () => {
  expect(shown([made('data')], [wanted('data', { image: { source: 'images/a' } })])).toEqual([
    ['spec.disks[0].image.source', undefined, 'images/a', 'destroys-data'],
  ])
  expect(shown([root], [wanted('root')])).toEqual([['spec.disks[0].image.source', 'images/a', undefined, 'destroys-data']])
  expect(shown([made('root', {})], [declaredRoot])).toEqual([])
})

test('a larger size is live, and a smaller one would need a new disk', () => {
  expect(shown([made('data')], [wanted('data', { size: 2 * sizeBytes })])).toEqual([['spec.disks[0].size', '1 GiB', '2 GiB', 'live']])
  expect(shown([made('data')], [wanted('data', { size: sizeBytes / 2 })])).toEqual([
    ['spec.disks[0].size', '1 GiB', '512 MiB', 'destroys-data'],
  ])
})
