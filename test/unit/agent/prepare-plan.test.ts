import { expect, test } from 'vitest'
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

test('A VM whose manifest names fewer disks than it has is complete, and so it is when the disk returns', () => {
  const disks: DiskRecord[] = [...anIdentity().disks, blank]
  expect(planPrepare(anOrder(), known({ disks }, ['root', 'data']))).toEqual({ kind: 'complete' })
  expect(planPrepare(withBlank(), known({ disks }, ['root', 'data']))).toEqual({ kind: 'complete' })
  expect(planPrepare(withBlank(), known({ disks }, ['root']))).toMatchObject({ reason: 'DiskMissing' })
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
  ['DiskAddUnsupported', anOrder(), known({ disks: [] })],
  ['DiskRenameRefused', anOrder(), known({ disks: [{ name: 'system', sizeBytes: 1024, imageSource: 'a', imageSha256: sha }] }, [])],
  ['ImageChangeRefused', anOrder({}, { source: 'images/b.qcow2', sha256: null }), known()],
  ['ImageChangeRefused', anOrder({}, { source: 'images/a.qcow2', sha256: otherSha }), known()],
  ['ImageChangeRefused', anOrder({}, { source: 'images/b.qcow2', sha256: null }), seen({ draft: anIdentity(), disks: ['root'] })],
  ['ImageChangeRefused', anOrder({ disks: [{ name: 'root', sizeBytes: 1024 }] }), known()],
  ['ImageChangeRefused', anOrder(), known({ disks: [{ name: 'root', sizeBytes: 1024 }] })],
  [
    'DiskResizeUnsupported',
    anOrder({ disks: [{ name: 'root', sizeBytes: 2048, image: { source: 'images/a.qcow2', sha256: null } }] }),
    known(),
  ],
] as const)('%s is said and nothing is made (%#)', (reason, order, instance) => {
  expect(planPrepare(order, instance)).toMatchObject({ kind: 'failed', reason })
})
