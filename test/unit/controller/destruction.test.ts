import fc from 'fast-check'
import { describe, expect, it, test } from 'vitest'
import type { VirtualMachine } from '../../../src/api/manifest.ts'
import { type TestStore, aStore } from './a-store.ts'
import { blockedNames, type OwnedVm } from '../../../src/controller/declarations/state.ts'
import type { SourceDocument, SourceSnapshot } from '../../../src/api/manifest/source-documents.ts'
import { type VirtualClock, virtualClock } from './virtual-clock.ts'

const graceMs = 60_000
type Policy = 'Delete' | 'Retain'

function document(name: string, policy: Policy, source: string): SourceDocument {
  const vm = {
    metadata: { name, labels: {}, annotations: {} },
    spec: { networks: [], deletionPolicy: policy },
  } as unknown as VirtualMachine
  return { ok: true, origin: { source, file: `${name}.yaml`, line: 1 }, vm, generation: `${name}-${policy}` }
}

/** `web` goes with its disks, and `DB` in capitals would be kept. */
function read(names: string, source = 'directory'): SourceSnapshot {
  const documents = names
    .split(' ')
    .filter((name) => name !== '')
    .map((name) => document(name.toLowerCase(), name === name.toLowerCase() ? 'Delete' : 'Retain', source))
  return { source, complete: true, message: '', documents }
}

interface Bench {
  readonly store: TestStore
  readonly clock: VirtualClock
  readonly pass: (ms: number, names: string, source?: string) => Promise<void>
  readonly kinds: (names: string) => string
}

function bench(sources = 1): Bench {
  const clock = virtualClock()
  const store = aStore({ sources, removalGraceMs: graceMs }, clock)
  return {
    store,
    clock,
    kinds: (names) =>
      names
        .split(' ')
        .map((name) => store.get(name).kind)
        .join(' '),
    async pass(ms, names, source) {
      store.fold(read(names, source))
      await clock.pass(ms)
      store.fold(read(names, source))
    },
  }
}

describe('a VM whose disks go with it', () => {
  it('is removed when it alone vanishes from a source that holds something else', async () => {
    const { pass, kinds } = bench()
    await pass(0, 'web DB')
    await pass(graceMs, 'DB')
    expect(kinds('web')).toBe('removed')
  })

  test.each([
    ['it is the only one of its source, whose mount may be empty', 'web', ''],
    ['another one vanishes with it', 'web DB api', 'api'],
    ['all of its source vanish with it', 'web db', ''],
  ])('waits for a person where %s', async (_what, before, after) => {
    const { pass, kinds, store } = bench()
    await pass(0, before)
    await pass(10 * graceMs, after)
    expect(kinds('web')).toBe('unknown')
    expect(blockedNames(store.state())).toContain('web')
    expect(store.valid('web')).toMatchObject({ reason: 'RemovalWithheld' })
    expect(store.valid('web').message).toMatch(/deletionPolicy: Delete.*docker vm confirm-removal/)
    expect(store.state().stalled).toMatch(/deletionPolicy: Delete/)
  })

  it('waits also where the others vanish while its grace runs, and still waits when they are gone or back', async () => {
    const { pass, kinds } = bench()
    await pass(0, 'web DB api')
    await pass(graceMs - 1_000, 'DB api')
    await pass(2 * graceMs, 'api')
    expect(kinds('web db')).toBe('unknown removed')
    await pass(2 * graceMs, 'DB api')
    expect(kinds('web')).toBe('unknown')
    await pass(0, 'web DB api')
    await pass(graceMs, 'DB api')
    expect(kinds('web')).toBe('removed')
  })

  it('waits also where its source was empty for a moment', async () => {
    const { pass, kinds } = bench()
    await pass(0, 'web db')
    await pass(0, '')
    await pass(10 * graceMs, 'db')
    expect(kinds('web')).toBe('unknown')
  })

  it('waits also after a restart of the controller, as its record says', async () => {
    const owned: OwnedVm = { generation: undefined, source: 'directory', deletes: true }
    for (const [mustConfirm, expected] of [
      [false, 'removed'],
      [true, 'unknown'],
    ] as const) {
      const { store, pass, kinds } = bench()
      store.setOwnedVms(new Map([['web', { ...owned, mustConfirm }]]))
      await pass(0, 'db')
      await pass(10 * graceMs, 'db')
      expect(kinds('web')).toBe(expected)
    }
  })

  it('tells the reconcilers whether it waits, and no longer once the removal is confirmed', async () => {
    const { store, pass } = bench()
    await pass(0, 'web db')
    await pass(0, 'db')
    expect(store.get('web')).toMatchObject({ mustConfirm: false })
    await pass(0, '')
    expect(store.get('web')).toMatchObject({ mustConfirm: true })
    await pass(graceMs, '')
    store.confirmRemoval(['web', 'db'])
    expect(store.get('web')).toMatchObject({ mustConfirm: false })
  })

  it('goes one after another without being asked', async () => {
    const { pass, kinds } = bench()
    await pass(0, 'web db API')
    await pass(graceMs, 'db API')
    await pass(graceMs, 'API')
    expect(kinds('web db')).toBe('removed removed')
  })

  it('goes when a person confirms it, after another grace, and stays when its manifest returns in it', async () => {
    const { store, pass, kinds } = bench()
    await pass(0, 'web db')
    await pass(graceMs, '')
    expect(store.confirmRemoval(['web'])).toBeUndefined()
    expect(store.confirmRemoval(['web', 'db'])).toBeDefined()
    await pass(graceMs - 1, 'db')
    expect(kinds('web db')).toBe('unknown present')
    await pass(1, 'db')
    expect(kinds('web db')).toBe('removed present')
  })

  it('is no longer confirmed if its source could not be read meanwhile', async () => {
    const { store, pass, kinds } = bench()
    await pass(0, 'web api db')
    await pass(graceMs, 'db')
    store.confirmRemoval(['web', 'api'])
    store.fold({ ...read('db'), complete: false, message: 'EIO' })
    const broken: SourceDocument = { ok: false, origin: { source: 'directory', file: 'web.yaml', line: 1 }, name: undefined, issues: [] }
    store.fold({ ...read('db'), documents: [...read('db').documents, broken] })
    await pass(2 * graceMs, 'db')
    expect(kinds('web')).toBe('unknown')
  })

  it('is one whose record says so, where this controller never read its manifest', async () => {
    const owned: OwnedVm = { generation: 'g', source: 'directory', deletes: true }
    const { store, pass, kinds } = bench()
    store.setOwnedVms(
      new Map([
        ['web', owned],
        ['db', { ...owned, deletes: false }],
      ]),
    )
    await pass(2 * graceMs, 'api')
    expect(kinds('web db')).toBe('unknown removed')
  })

  it('is judged by its own source', async () => {
    const { store, pass, kinds } = bench(2)
    store.setOwnedVms(new Map())
    store.fold(read('db', 'configs'))
    await pass(0, 'web')
    store.fold(read('db', 'configs'))
    await pass(2 * graceMs, '')
    store.fold(read('db', 'configs'))
    expect(kinds('web db')).toBe('unknown present')
  })

  it('is never removed unasked but alone and from a source that held something, whatever the history', async () => {
    const names = ['a', 'b', 'C']
    const step = fc.record({ there: fc.subarray(names), ms: fc.integer({ min: 0, max: graceMs }) })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        const { store, pass, kinds, clock } = bench()
        await pass(0, names.join(' '))
        const sinceMs = new Map<string, number>()
        const crowded = new Set<string>()
        for (const { there, ms } of steps) {
          const text = there.join(' ')
          const gone = names.filter((name) => !there.includes(name) && store.get(name.toLowerCase()).kind !== 'removed')
          for (const name of names) if (there.includes(name)) for (const held of [sinceMs, crowded]) held.delete(name)
          for (const name of gone) if (!sinceMs.has(name)) sinceMs.set(name, clock.elapsed())
          if (gone.length > 1 || there.length === 0) for (const name of gone) crowded.add(name)
          await pass(ms, text)
          for (const name of ['a', 'b']) {
            if (kinds(name) !== 'removed' || there.includes(name)) continue
            expect(crowded.has(name), `${name} was removed in a crowd`).toBe(false)
            expect(clock.elapsed() - (sinceMs.get(name) ?? Number.NaN)).toBeGreaterThanOrEqual(graceMs)
          }
        }
      }),
    )
  })
})
