import { describe, expect, test } from 'vitest'
import { type SeenInstance, planPrepare } from '../../../src/agent/prepare-plan.ts'
import type { PrepareOrder } from '../../../src/api/wire/agent-api.ts'
import type { DiskRecord, Identity } from '../../../src/api/wire/identity.ts'
import { aUid, aVmName } from '../../support/branded.ts'

const uid = aUid('11111111-2222-4333-8444-555555555555')
const sha = 'a'.repeat(64)
const otherSha = 'b'.repeat(64)

function anOrder(
  change: Partial<PrepareOrder> = {},
  image: PrepareOrder['disks'][number]['image'] = { source: 'images/a.qcow2', sha256: null },
): PrepareOrder {
  const disks = [{ name: 'root', sizeBytes: 1024, image }]
  return {
    version: 1,
    uid,
    vm: aVmName('web-1'),
    cluster: 'c',
    disks,
    disksMustExist: false,
    accelerator: 'auto',
    softwareEmulation: true,
    nics: [],
    ...change,
  }
}

function anIdentity(change: Partial<Identity> = {}): Identity {
  const disks = [{ name: 'root', sizeBytes: 1024, imageSource: 'images/a.qcow2', imageSha256: sha }]
  return {
    version: 1,
    uid,
    vm: aVmName('web-1'),
    cluster: 'c',
    machineType: 'pc-q35-10.0',
    createdAt: '2026-01-01T00:00:00Z',
    disks,
    ...change,
  }
}

const seen = (change: Partial<SeenInstance> = {}): SeenInstance => ({
  layoutVersion: 1,
  identity: { kind: 'absent' },
  draft: undefined,
  disks: [],
  guestSizes: new Map(),
  linkedImages: [],
  ...change,
})
const known = (change: Partial<Identity> = {}, disks = ['root']): SeenInstance =>
  seen({ identity: { kind: 'known', identity: anIdentity(change) }, disks })

test('A new VM gets its disk made', () => {
  expect(planPrepare(anOrder(), seen())).toMatchObject({ kind: 'make', disks: [{ disk: { name: 'root' }, state: { kind: 'missing' } }] })
})

test('A VM with its identity and its disk is complete, whatever its draft or image has become', () => {
  expect(planPrepare(anOrder({ disksMustExist: true }), known())).toEqual({ kind: 'complete' })
  expect(planPrepare(anOrder(), known())).toEqual({ kind: 'complete' })
  expect(planPrepare(anOrder({}, { source: 'http://elsewhere/', sha256: sha }), known())).toEqual({ kind: 'complete' })
})

test.each([
  ['its draft', { draft: anIdentity(), disks: ['root'], linkedImages: [sha, otherSha] }, sha],
  ['the only image that was linked', { disks: ['root'], linkedImages: [otherSha] }, otherSha],
])('A disk without identity is completed from %s', (_what, change, sha256) => {
  expect(planPrepare(anOrder(), seen(change))).toMatchObject({ kind: 'make', disks: [{ state: { kind: 'made', image: { sha256 } } }] })
})

test('A disk without any record uses the image of the order', () => {
  expect(planPrepare(anOrder(), seen({ disks: ['root'] }))).toMatchObject({ kind: 'make', disks: [{ state: { kind: 'unknown' } }] })
  expect(planPrepare(anOrder({}, { source: 'http://x/', sha256: otherSha }), seen({ disks: ['root'] }))).toMatchObject({
    disks: [{ state: { image: { sha256: otherSha } } }],
  })
})

const blank = { name: 'data', sizeBytes: 4096 }
const withBlank = (): PrepareOrder => anOrder({ disks: [...anOrder().disks, blank] })

test('A blank disk is completed without any image, whatever images are linked', () => {
  expect(planPrepare(withBlank(), seen({ draft: anIdentity(), disks: ['root', 'data'], linkedImages: [sha] }))).toMatchObject({
    kind: 'make',
    disks: [{ state: { kind: 'made', image: { sha256: sha } } }, { state: { kind: 'made', image: undefined } }],
  })
})

const removed: DiskRecord = { ...blank, removed: true }
const [root] = anIdentity().disks as [DiskRecord]

test('A disk that leaves the manifest is noted and kept, and is the same disk when it returns', () => {
  expect(planPrepare(anOrder(), known({ disks: [root, blank] }, ['root', 'data']))).toMatchObject({
    kind: 'mark',
    identity: { disks: [root, removed] },
  })
  expect(planPrepare(anOrder(), known({ disks: [root, removed] }, ['root', 'data']))).toEqual({ kind: 'complete' })
  expect(planPrepare(withBlank(), known({ disks: [root, removed] }, ['root', 'data']))).toMatchObject({
    kind: 'mark',
    identity: { disks: [root, blank] },
  })
  expect(planPrepare(withBlank(), known({ disks: [root, removed] }, ['root']))).toMatchObject({ reason: 'DiskMissing' })
  const shrunk = anOrder({ disks: [...anOrder().disks, { ...blank, sizeBytes: 1024 }] })
  expect(planPrepare(shrunk, known({ disks: [root, removed] }, ['root', 'data']))).toMatchObject({ reason: 'DiskResizeUnsupported' })
})

test('A disk that the VM was not created with is added beside the others', () => {
  expect(planPrepare(withBlank(), known())).toEqual({ kind: 'add', disk: blank, identity: anIdentity() })
})

test.each([
  ['is refused as a rename with the image of a disk that leaves in the same edit', { name: 'old', sizeBytes: 1 }, 'DiskRenameRefused'],
  ['is added beside a disk that left in an earlier edit', { name: 'old', sizeBytes: 1, removed: true }, undefined],
  ['is added in place of a disk from an image', { ...root, name: 'old' }, undefined],
] as const)('A new blank disk %s', (_what, record, reason) => {
  const plan = planPrepare(withBlank(), known({ disks: [root, record] }, ['root', 'old']))
  expect(plan).toMatchObject(reason === undefined ? { kind: 'add' } : { kind: 'failed', reason })
})

test('A VM has at most sixteen disks on a node, and a removed one whose file was deleted gives its slot up', () => {
  const many = Array.from({ length: 15 }, (_, index): DiskRecord => ({ name: `d${index}`, sizeBytes: 1, removed: true }))
  const files = ['root', ...many.map(({ name }) => name)]
  const full = planPrepare(withBlank(), known({ disks: [root, ...many] }, files))
  expect(full).toMatchObject({ kind: 'failed', reason: 'TooManyDisks', message: expect.stringContaining('d0.qcow2, d1.qcow2') as string })
  expect(planPrepare(withBlank(), known({ disks: [root, ...many] }, files.slice(0, -1)))).toMatchObject({
    kind: 'add',
    identity: { disks: [root, ...many.slice(0, -1)] },
  })
})

test('A disk that leaves a full VM in the same edit is named, and one that returns is never taken for a deleted one', () => {
  const named = (names: readonly string[], removed?: true): DiskRecord[] =>
    names.map((name) => ({ name, sizeBytes: 4096, ...(removed && { removed }) }))
  const names = Array.from({ length: 15 }, (_, index) => `d${index}`)
  const fromImage = { ...blank, name: 'other', image: { source: 'images/b.qcow2', sha256: null } }
  const swapped = anOrder({ disks: [...anOrder().disks, ...named(names.slice(1)), fromImage] })
  expect(planPrepare(swapped, known({ disks: [root, ...named(names)] }, ['root', ...names]))).toMatchObject({
    reason: 'TooManyDisks',
    message: expect.stringContaining('no longer names d0.qcow2.') as string,
  })
  const returning = anOrder({ disks: [...anOrder().disks, blank, ...named(['d13', 'd14'])] })
  expect(planPrepare(returning, known({ disks: [root, ...named(names, true)] }, ['root', ...names.slice(0, 12)]))).toMatchObject({
    kind: 'add',
    identity: { disks: [root, ...named([...names.slice(0, 12), 'd13', 'd14'], true)] },
  })
})

describe('a larger size of a disk', () => {
  const sized = (sizeBytes: number): PrepareOrder => anOrder({ disks: anOrder().disks.map((one) => ({ ...one, sizeBytes })) })
  const grown = { ...root, sizeBytes: 4096, createdBytes: 1024 }

  test('is noted with the size that the disk was created with, and needs room for the difference', () => {
    expect(planPrepare(sized(4096), known())).toEqual({
      kind: 'mark',
      identity: anIdentity({ disks: [grown] }),
      needs: { name: 'root', sizeBytes: 3072 },
    })
    expect(planPrepare(sized(4096), known({ disks: [grown] }))).toEqual({ kind: 'complete' })
    expect(planPrepare(sized(8192), known({ disks: [grown] }))).toMatchObject({
      identity: { disks: [{ sizeBytes: 8192, createdBytes: 1024 }] },
    })
  })

  test('is withdrawn as long as the guest has not seen it', () => {
    const before = { ...known({ disks: [grown] }), guestSizes: new Map([['root', 1024]]) }
    expect(planPrepare(sized(1024), before)).toEqual({ kind: 'mark', identity: anIdentity() })
    expect(planPrepare(sized(512), before)).toMatchObject({ reason: 'DiskResizeUnsupported' })
    const after = { ...before, guestSizes: new Map([['root', 4096]]) }
    expect(planPrepare(sized(1024), after)).toMatchObject({ reason: 'DiskResizeUnsupported' })
    expect(planPrepare(sized(1024), known({ disks: [grown] }))).toMatchObject({ reason: 'DiskResizeUnsupported' })
  })
})

describe('A read-only disk', () => {
  const readOnly = (sizeBytes: number) =>
    anOrder({ disks: [{ name: 'root', sizeBytes, image: { source: 'images/a.qcow2', sha256: null }, readOnly: true }] })
  const grown = { ...root, sizeBytes: 4096, createdBytes: 1024 }

  test('does not grow, because QEMU does not grow it', () => {
    expect(planPrepare(readOnly(1024), known())).toEqual({ kind: 'complete' })
    expect(planPrepare(readOnly(4096), known())).toMatchObject({
      kind: 'failed',
      reason: 'DiskResizeUnsupported',
      message: expect.stringContaining('cannot grow to 4 KiB while it is read-only') as string,
    })
  })

  test('that was to grow before it became read-only waits as long as the guest has not seen the larger size', () => {
    const before = { ...known({ disks: [grown] }), guestSizes: new Map([['root', 1024]]) }
    expect(planPrepare(readOnly(4096), before)).toMatchObject({ kind: 'failed', reason: 'DiskResizeUnsupported' })
    expect(planPrepare(readOnly(4096), { ...before, guestSizes: new Map([['root', 4096]]) })).toEqual({ kind: 'complete' })
  })
})

test('A file that the agent did not create is no disk', () => {
  expect(planPrepare(withBlank(), known({}, ['root', 'data']))).toMatchObject({ kind: 'failed', reason: 'DiskError' })
})

test.each([
  ['LayoutMissing', anOrder(), seen({ layoutVersion: undefined })],
  ['LayoutUnsupported', anOrder(), seen({ layoutVersion: 2 })],
  ['IdentityUnreadable', anOrder(), seen({ identity: { kind: 'unreadable', message: 'x' }, disks: ['root'] })],
  ['IdentityMismatch', anOrder({ vm: aVmName('web-2') }), known()],
  ['IdentityMismatch', anOrder({ cluster: 'd' }), known()],
  ['IdentityMismatch', anOrder({ vm: aVmName('web-2') }), seen({ draft: anIdentity() })],
  ['DiskMissing', anOrder(), known({}, [])],
  ['DiskMissing', anOrder({ disksMustExist: true }), seen()],
  ['DiskRenameRefused', anOrder(), known({ disks: [{ ...root, name: 'system' }] }, ['system'])],
  ['ImageChangeRefused', anOrder({}, { source: 'images/b.qcow2', sha256: null }), known()],
  ['ImageChangeRefused', anOrder({}, { source: 'images/a.qcow2', sha256: otherSha }), known()],
  ['ImageChangeRefused', anOrder({}, { source: 'images/b.qcow2', sha256: null }), seen({ draft: anIdentity(), disks: ['root'] })],
  ['ImageChangeRefused', anOrder({ disks: [{ name: 'root', sizeBytes: 1024 }] }), known()],
  ['ImageChangeRefused', anOrder(), known({ disks: [{ name: 'root', sizeBytes: 1024 }] })],
  [
    'DiskResizeUnsupported',
    anOrder({ disks: [{ name: 'root', sizeBytes: 512, image: { source: 'images/a.qcow2', sha256: null } }] }),
    known(),
  ],
] as const)('%s is said and nothing is made (%#)', (reason, order, instance) => {
  expect(planPrepare(order, instance)).toMatchObject({ kind: 'failed', reason })
})
