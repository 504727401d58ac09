import fc from 'fast-check'
import { expect, test } from 'vitest'
import { recordOf } from '../../src/agent/disk-record.ts'
import { planPrepare, type SeenInstance } from '../../src/agent/prepare-plan.ts'
import type { PrepareOrder } from '../../src/api/wire/agent-api.ts'
import type { DiskRecord, Identity } from '../../src/api/wire/identity.ts'
import { readReplaceDisks } from '../../src/api/replace-disks.ts'
import { replaceDisksAnnotation } from '../../src/api/manifest/annotations.ts'
import { aUid, aVmName } from '../support/branded.ts'

const uid = aUid('11111111-2222-4333-8444-555555555555')
type Disk = PrepareOrder['disks'][number]

const edit: fc.Arbitrary<Disk> = fc.record({
  name: fc.constantFrom('root', 'main'),
  sizeBytes: fc.constantFrom(1024, 2048),
  image: fc.option(
    fc.record({ source: fc.constantFrom('images/a', 'images/b'), sha256: fc.constantFrom(null, 'a'.repeat(64), 'b'.repeat(64)) }),
    { nil: undefined },
  ),
})

function orderOf(disk: Disk, replaceDisks: PrepareOrder['replaceDisks'] = []): PrepareOrder {
  return {
    version: 1,
    uid,
    vm: aVmName('web'),
    cluster: 'lab',
    disks: [disk],
    disksMustExist: true,
    replaceDisks,
    accelerator: 'auto',
    softwareEmulation: true,
    nics: [],
  }
}

function seenOf(identity: Identity): SeenInstance {
  const disks = identity.disks.map((one) => one.name)
  return { layoutVersion: 1, identity: { kind: 'known', identity }, draft: undefined, disks, guestSizes: new Map(), linkedImages: [] }
}

/** As the agent makes it, each time with an id of its own. */
function made(identity: Identity, disk: Disk, gone: readonly DiskRecord[], making: number): Identity {
  const madeAs = aUid(`00000000-0000-4000-8000-${String(making).padStart(12, '0')}`)
  const sha256 = disk.image?.sha256 ?? (disk.image?.source === 'images/a' ? 'a' : 'b').repeat(64)
  const kept = identity.disks.filter((one) => !gone.includes(one))
  return { ...identity, disks: [...kept, recordOf(disk, { sha256, format: 'qcow2' }, madeAs)] }
}

/** The agent notes which disks the manifest names. */
function noted(identity: Identity, disk: Disk): Identity {
  const plan = planPrepare(orderOf(disk), seenOf(identity))
  return plan.kind === 'mark' ? plan.identity : identity
}

const first: Identity = {
  version: 1,
  uid,
  vm: aVmName('web'),
  cluster: 'lab',
  machineType: 'pc-q35-10.0',
  createdAt: '2026-01-01T00:00:00.000Z',
  disks: [{ name: 'root', sizeBytes: 1024, imageSource: 'images/a', imageSha256: 'a'.repeat(64) }],
}

test('a token that allowed one edit allows no later one, even after edits that are reverted', () => {
  fc.assert(
    fc.property(fc.array(edit, { minLength: 1, maxLength: 12 }), (edits) => {
      let identity = first
      const spent: { disk: string; token: string }[] = []
      edits.forEach((disk, making) => {
        const plan = planPrepare(orderOf(disk, spent), seenOf(identity))
        expect(plan.kind).not.toBe('replace')
        if (plan.kind === 'add') identity = made(plan.identity, disk, [], making)
        identity = noted(identity, disk)
        if (plan.kind !== 'failed') return
        const [, line = ''] = /replace-disks: "([^"]+)"/.exec(plan.message) ?? []
        const words = readReplaceDisks({ [replaceDisksAnnotation]: line })
        expect(words).toHaveLength(1)
        const allowed = planPrepare(orderOf(disk, words), seenOf(identity))
        if (allowed.kind !== 'replace') throw new Error(`the token allows nothing: ${allowed.kind}`)
        spent.push(...words)
        identity = noted(made(identity, disk, allowed.there, making), disk)
        expect(planPrepare(orderOf(disk, words), seenOf(identity)).kind).toBe('complete')
      })
    }),
    { numRuns: 500 },
  )
})

test('an invalid token allows nothing, and is no error', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      for (const { disk, token } of readReplaceDisks({ [replaceDisksAnnotation]: text })) {
        expect([disk, token]).toEqual([expect.stringMatching(/^[a-z0-9-]{1,20}$/), expect.stringMatching(/^[0-9a-f]{16}$/)])
      }
    }),
  )
  const annotations = { [replaceDisksAnnotation]: 'root=0123456789abcdef, ROOT=0123456789abcdef,data=01,x,main=fedcba9876543210' }
  expect(readReplaceDisks(annotations).map((one) => one.disk)).toEqual(['root', 'main'])
})
