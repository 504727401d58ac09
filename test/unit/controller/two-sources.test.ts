import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { VirtualMachine } from '../../../src/api/manifest.ts'
import { type TestStore, aStore } from './a-store.ts'
import type { OwnedVm } from '../../../src/controller/declarations/state.ts'
import type { SourceDocument, SourceSnapshot } from '../../../src/api/manifest/source-documents.ts'
import { type VirtualClock, virtualClock } from './virtual-clock.ts'

const graceMs = 60_000
type Source = 'directory' | 'configs'

/** `web` as one source has it; the generation says which. */
function web(source: Source, generation: string = source): Extract<SourceDocument, { ok: true }> {
  const vm = { metadata: { name: 'web', labels: {}, annotations: {} }, spec: { networks: [] } } as unknown as VirtualMachine
  return { ok: true, origin: { source, file: source === 'configs' ? 'web-1' : 'web.yaml', line: 1 }, vm, generation }
}

function broken(source: Source, more: { readonly name?: string; readonly file?: string; readonly standIn?: SourceDocument } = {}) {
  const { name, file = web(source).origin.file, standIn } = more
  const issue = { code: 'VM002', path: [], message: 'm', file, line: 1, column: 1, rendered: `error in ${file}` }
  return { ok: false, origin: { source, file, line: 1 }, name, issues: [issue], ...(standIn && { standIn }) } as SourceDocument
}

type Reads = Partial<Record<Source, readonly SourceDocument[] | 'incomplete'>>

interface Bench {
  readonly store: TestStore
  readonly clock: VirtualClock
  /** One read of each source that is named. */
  readonly read: (reads: Reads) => void
  readonly pass: (ms: number, reads: Reads) => Promise<void>
  /** The accepted generation, or the kind of the declaration. */
  readonly inForce: () => string
}

function bench(owned?: OwnedVm | 'nothing'): Bench {
  const clock = virtualClock()
  const store = aStore({ sources: 2, removalGraceMs: graceMs }, clock)
  if (owned !== undefined) store.setOwnedVms(owned === 'nothing' ? new Map() : new Map([['web', owned]]))
  const read = (reads: Reads): void => {
    for (const [source, documents] of Object.entries(reads)) store.fold(snapshot(source, documents))
  }
  return {
    store,
    clock,
    read,
    async pass(ms, reads) {
      await clock.pass(ms)
      read(reads)
    },
    inForce() {
      const declared = store.get('web')
      return declared.kind === 'present' ? declared.generation : declared.kind
    },
  }
}

function snapshot(source: string, documents: readonly SourceDocument[] | 'incomplete'): SourceSnapshot {
  return documents === 'incomplete'
    ? { source, complete: false, message: 'EACCES', documents: [] }
    : { source, complete: true, message: '', documents }
}

const both = { directory: [web('directory')], configs: [web('configs')] }
const onlyConfigs = { directory: [], configs: [web('configs')] }

describe('a VM that two sources declare', () => {
  it.each<[Source, Source]>([
    ['directory', 'configs'],
    ['configs', 'directory'],
  ])('stays with the %s that has it when the other one comes', (first, other) => {
    const { store, read, inForce } = bench('nothing')
    read({ directory: [], configs: [], [first]: [web(first)] })
    read({ [other]: [web(other)] })
    expect([inForce(), store.get('web')]).toMatchObject([first, { source: first }])
  })

  it('is reported in its condition and as an issue of both', () => {
    const { store, read } = bench('nothing')
    read({ directory: [web('directory')], configs: [] })
    read(both)
    expect(store.valid('web')).toMatchObject({
      status: 'True',
      message: 'also declared in config web-1:1, which is ignored: web.yaml:1 keeps the VM',
    })
    expect(store.state().issues).toMatchObject([
      { code: 'VM030', file: 'web-1', message: 'VM "web" is declared twice; web.yaml:1 keeps it', sources: ['configs', 'directory'] },
    ])
  })

  it('follows the edits of its source and no others', () => {
    const { read, inForce } = bench('nothing')
    read({ directory: [web('directory')], configs: [] })
    read({ configs: [web('configs')], directory: [web('directory', 'edited')] })
    read({ configs: [web('configs', 'edited elsewhere')] })
    expect(inForce()).toBe('edited')
  })

  it('keeps its last good state while its own document is broken, whatever the other one says', async () => {
    const { read, pass, inForce } = bench('nothing')
    read({ directory: [web('directory')], configs: [] })
    for (const document of [broken('directory', { name: 'web' }), broken('directory')]) {
      read({ directory: [document], configs: [web('configs')] })
      await pass(10 * graceMs, { directory: [document], configs: [web('configs')] })
      expect(inForce()).toBe('directory')
    }
  })

  it('goes to the first source where it is new in both, whichever was read first', () => {
    for (const order of [['directory', 'configs'] as const, ['configs', 'directory'] as const]) {
      const { read, inForce } = bench('nothing')
      for (const source of order) read({ [source]: both[source] })
      expect(inForce()).toBe('configs')
    }
  })
})

describe('a hand-over from one source to the other', () => {
  it('takes the removal grace, and the VM is present all the time', async () => {
    const { store, clock, read, pass, inForce } = bench('nothing')
    read({ directory: [web('directory')], configs: [] })
    read(both)
    read(onlyConfigs)
    const dueMs = clock.elapsed() + graceMs
    expect([inForce(), store.valid('web')]).toMatchObject([
      'directory',
      { status: 'True', reason: 'HandOver', message: expect.stringContaining('config web-1:1 takes the VM over') },
    ])
    await pass(graceMs - 1, onlyConfigs)
    expect(inForce()).toBe('directory')
    expect(store.nextDueMs()).toBe(dueMs)
    await pass(1, onlyConfigs)
    expect([inForce(), store.get('web')]).toMatchObject(['configs', { source: 'configs' }])
    expect(store.state().issues).toEqual([])
  })

  it('does not happen when the file returns within the grace, as after a checkout', async () => {
    const { read, pass, inForce } = bench('nothing')
    read({ directory: [web('directory')], configs: [] })
    read(onlyConfigs)
    await pass(graceMs - 1, both)
    read(onlyConfigs)
    await pass(graceMs - 1, onlyConfigs)
    expect(inForce()).toBe('directory')
  })

  it('works the other way round as well: delete first, then declare it elsewhere within the grace', async () => {
    const { read, pass, inForce } = bench('nothing')
    read({ directory: [web('directory')], configs: [] })
    read({ directory: [], configs: [] })
    expect(inForce()).toBe('unknown')
    await pass(graceMs / 2, onlyConfigs)
    expect(inForce()).toBe('directory')
    await pass(graceMs / 2, onlyConfigs)
    expect(inForce()).toBe('configs')
  })

  it.each<[string, Reads]>([
    ['cannot be read completely', { directory: 'incomplete' }],
    ['has a file that broke meanwhile and may hold it', { directory: [broken('directory', { file: 'all.yaml' })] }],
  ])('does not happen while the source that has it %s', async (_what, reads) => {
    const { read, pass, inForce } = bench('nothing')
    read({ directory: [web('directory')], configs: [] })
    await pass(1, { ...onlyConfigs, ...reads })
    await pass(10 * graceMs, { ...onlyConfigs, ...reads })
    expect(inForce()).toBe('directory')
  })

  it('does not go to a broken document, which is reported; the last good state stays until that document is valid, and a grace period longer', async () => {
    const { store, read, pass, inForce } = bench('nothing')
    const reads = { directory: [], configs: [broken('configs', { name: 'web' })] }
    read({ directory: [web('directory')], configs: [] })
    read(reads)
    await pass(10 * graceMs, reads)
    expect([store.get('web'), store.valid('web')]).toMatchObject([
      { kind: 'present', source: 'directory' },
      { status: 'False', message: expect.stringContaining('error in web-1') },
    ])
    read(onlyConfigs)
    await pass(graceMs, onlyConfigs)
    expect(inForce()).toBe('configs')
  })

  it('of many VMs at once is no removal of many', async () => {
    const { store, read, pass } = bench('nothing')
    const ten = (source: Source): SourceDocument[] =>
      Array.from({ length: 10 }, (_, index) => {
        const vm = { metadata: { name: `vm-${index}`, labels: {}, annotations: {} }, spec: { networks: [] } } as unknown as VirtualMachine
        return { ...web(source), origin: { source, file: `vm-${index}`, line: 1 }, vm }
      })
    read({ directory: ten('directory'), configs: [] })
    read({ directory: [], configs: ten('configs') })
    expect([store.state().stalled, store.get('vm-9').kind]).toEqual([undefined, 'present'])
    await pass(graceMs, { directory: [], configs: ten('configs') })
    expect(store.get('vm-9')).toMatchObject({ kind: 'present', source: 'configs' })
  })
})

describe('after a restart of the controller', () => {
  const owned = (source: string | undefined, generation = 'older'): OwnedVm => ({ source, generation })

  it('a VM belongs to the source that its record names, also where it was edited meanwhile', () => {
    for (const source of ['directory', 'configs'] as const) {
      const { read, inForce } = bench(owned(source))
      read({ configs: both.configs })
      read({ directory: both.directory })
      expect(inForce()).toBe(source)
    }
  })

  it('nothing is done for a VM before the Swarm and every source were read', () => {
    const { store, read, inForce } = bench()
    read({ configs: both.configs })
    expect(inForce()).toBe('unknown')
    read({ directory: both.directory })
    expect(inForce()).toBe('unknown')
    store.setOwnedVms(new Map([['web', owned('directory')]]))
    expect(inForce()).toBe('directory')
  })

  it('the other source gets nothing while the one that the record names cannot be read', async () => {
    const { read, pass, inForce } = bench(owned('directory'))
    read({ ...both, directory: 'incomplete' })
    await pass(10 * graceMs, { ...both, directory: 'incomplete' })
    expect(inForce()).toBe('unknown')
    read(both)
    expect(inForce()).toBe('directory')
  })

  it('the other source takes over a VM that the named one no longer has, after the grace period', async () => {
    const { read, pass, inForce } = bench(owned('directory'))
    read(onlyConfigs)
    await pass(graceMs - 1, onlyConfigs)
    expect(inForce()).toBe('unknown')
    await pass(1, onlyConfigs)
    expect(inForce()).toBe('configs')
  })

  it('a record of an earlier release names nobody: the document the service was made from has it, else the first', () => {
    for (const [generation, wanted] of [
      ['directory', 'directory'],
      ['configs', 'configs'],
      ['older than both', 'configs'],
    ] as const) {
      for (const order of [['directory', 'configs'] as const, ['configs', 'directory'] as const]) {
        const { read, inForce } = bench(owned(undefined, generation))
        for (const source of order) read({ [source]: both[source] })
        expect(inForce()).toBe(wanted)
      }
    }
  })

  it('a record of an earlier release gives nothing to one source while the other cannot be read', () => {
    const { read, inForce } = bench(owned(undefined))
    read({ ...both, directory: 'incomplete' })
    expect(inForce()).toBe('unknown')
  })

  it('a VM of a source that is switched off is left alone, until another one declares it', async () => {
    const clock = virtualClock()
    const store = aStore({ sources: 1, removalGraceMs: graceMs }, clock)
    store.setOwnedVms(new Map([['web', owned('directory')]]))
    store.fold(snapshot('configs', []))
    await clock.pass(10 * graceMs)
    store.fold(snapshot('configs', []))
    expect(store.get('web')).toMatchObject({ kind: 'unknown', message: expect.stringContaining('does not read (--sources)') })
    store.fold(snapshot('configs', [web('configs')]))
    await clock.pass(graceMs)
    store.fold(snapshot('configs', [web('configs')]))
    expect(store.get('web')).toMatchObject({ kind: 'present', source: 'configs' })
  })

  it('a broken newest config has the valid older one in force', () => {
    const { store, read } = bench(owned('configs'))
    read({ directory: [], configs: [broken('configs', { name: 'web', standIn: web('configs', 'valid') })] })
    expect(store.get('web')).toMatchObject({ kind: 'present', generation: 'valid', source: 'configs' })
    expect(store.valid('web').status).toBe('False')
  })
})

describe('absence', () => {
  it('is judged when both sources were read completely, and one config less is an ordinary removal', async () => {
    const { read, pass, inForce } = bench('nothing')
    read({ directory: [], configs: [web('configs')] })
    read({ configs: [] })
    await pass(10 * graceMs, { configs: [], directory: 'incomplete' })
    expect(inForce()).toBe('configs')
    read({ directory: [] })
    await pass(graceMs, { directory: [], configs: [] })
    expect(inForce()).toBe('removed')
  })
})

it('never gives a VM another source before its own was without it for the grace: any history', async () => {
  const content = fc.constantFrom<'has' | 'lacks' | 'broken' | 'incomplete'>('has', 'has', 'lacks', 'lacks', 'broken', 'incomplete')
  const step = fc.record({
    directory: content,
    configs: content,
    waitMs: fc.constantFrom(0, 1_000, 30_000, 59_999, 60_000),
    restart: fc.oneof({ arbitrary: fc.constant(false), weight: 9 }, { arbitrary: fc.constant(true), weight: 1 }),
  })
  const documents = { has: web, broken: (source: Source) => broken(source, { name: 'web' }) }
  const readOf = (source: Source, what: 'has' | 'lacks' | 'broken' | 'incomplete') =>
    what === 'incomplete' ? what : what === 'lacks' ? [] : [documents[what](source)]
  const history = fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      let on = bench('nothing')
      let [nowMs, owner, ownerSeenMs] = [0, undefined as string | undefined, 0]
      for (const one of steps) {
        await on.clock.pass(one.waitMs)
        nowMs += one.waitMs
        // Only the placement record outlives the controller.
        if (one.restart) on = bench(owner === undefined ? 'nothing' : { source: owner, generation: undefined })
        const was = owner
        if (was !== undefined && one[was as Source] !== 'lacks') ownerSeenMs = nowMs
        on.read({ directory: readOf('directory', one.directory), configs: readOf('configs', one.configs) })
        const declared = on.store.get('web')
        if (declared.kind === 'removed') owner = undefined
        if (declared.kind !== 'present') continue
        if (was !== undefined && declared.source !== was && nowMs - ownerSeenMs < graceMs) return false
        if (declared.source !== was) ownerSeenMs = nowMs
        owner = declared.source
      }
      return true
    }),
    { numRuns: 1_500 },
  )
  await expect(history).resolves.toBeUndefined()
})

describe('a VM is certainly in no manifest', () => {
  it('when both sources were read completely and neither has it, nor a file that nobody can read', async () => {
    const { store, read, pass } = bench('nothing')
    const nowhere = (): boolean => store.isNowhere('web')
    expect(nowhere()).toBe(false)
    read({ directory: [] })
    expect(nowhere()).toBe(false)
    read({ configs: [] })
    expect(nowhere()).toBe(true)
    read({ configs: 'incomplete' })
    expect(nowhere()).toBe(false)
    read({ configs: [broken('configs', { file: 'other' })] })
    expect(nowhere()).toBe(false)
    read(onlyConfigs)
    expect(nowhere()).toBe(false)
    read({ configs: [] })
    expect([nowhere(), store.isNowhere('shop')]).toEqual([false, true])
    await pass(graceMs + 1_000, { directory: [], configs: [] })
    expect([store.get('web').kind, nowhere()]).toEqual(['removed', true])
  })
})

it('doubts an absence where the manifest may have gone into a file that another source found broken before this one was read again', async () => {
  const clock = virtualClock()
  const store = aStore({ sources: 2, removalGraceMs: 60_000 }, clock)
  store.setOwnedVms(new Map())
  const origin = { source: 'directory', file: 'web.yaml', line: 1 }
  const vm = { metadata: { name: 'web', labels: {}, annotations: {} }, spec: { networks: [] } } as unknown as VirtualMachine
  const whole = (source: string, documents: readonly SourceDocument[]): SourceSnapshot => ({
    source,
    complete: true,
    message: '',
    documents,
  })
  const broken: SourceDocument = { ok: false, origin: { source: 'configs', file: 'all', line: 1 }, name: undefined, issues: [] }
  store.fold(whole('configs', []))
  store.fold(whole('directory', [{ ok: true, origin, vm, generation: 'g' }]))
  await clock.pass(10_000)
  store.fold(whole('configs', [broken]))
  await clock.pass(10_000)
  store.fold(whole('directory', []))
  await clock.pass(600_000)
  store.fold(whole('configs', [broken]))
  store.fold(whole('directory', []))
  expect(store.get('web').kind).toBe('present')
})
