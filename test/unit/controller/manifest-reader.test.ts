import { expect, it } from 'vitest'
import type { VirtualMachine } from '../../../src/api/manifest.ts'
import { aStore, type TestStore } from './a-store.ts'
import { readManifests } from '../../../src/controller/declarations/manifest-reader.ts'
import type { ManifestSource } from '../../../src/ports/manifest-source.ts'
import type { SourceDocument, ValidDocument } from '../../../src/api/manifest/source-documents.ts'
import { silentLog, virtualClock } from './virtual-clock.ts'

const web: ValidDocument = {
  ok: true,
  origin: { source: 'directory', file: 'web.yaml', line: 1 },
  vm: { metadata: { name: 'web', labels: {}, annotations: {} }, spec: { networks: [] } } as unknown as VirtualMachine,
  generation: 'g',
}

it('judges an absence that showed when the Swarm was read', async () => {
  const clock = virtualClock()
  const store = aStore({ sources: 1, removalGraceMs: 5_000 }, clock)
  const empty: ManifestSource = {
    read: async () => ({ source: 'directory', complete: true, message: '', documents: [] }),
    watch: () => () => undefined,
  }
  const stopping = new AbortController()
  const ports = { sources: [empty], store, clock, log: silentLog, resyncMs: 3_600_000, onRead: () => undefined }
  const running = readManifests(ports, stopping.signal)
  await clock.pass(1_000)
  store.setOwnedVms(new Map([['web', { generation: 'g', source: 'directory' }]]))
  await clock.pass(6_000)
  expect(store.get('web').kind).toBe('removed')
  stopping.abort()
  await running
})

it('judges an absence when the grace is over, however long the other source would have waited for its next read', async () => {
  const clock = virtualClock()
  const store = aStore({ sources: 2, removalGraceMs: 60_000 }, clock)
  store.setOwnedVms(new Map())
  let documents = [web]
  let hint = (): void => undefined
  const reads = { directory: 0, configs: 0 }
  const source = (name: 'directory' | 'configs'): ManifestSource => ({
    read: async () => {
      reads[name] += 1
      return { source: name, complete: true, message: '', documents: name === 'directory' ? documents : [] }
    },
    watch(onHint) {
      if (name === 'directory') hint = onHint
      return () => undefined
    },
  })
  const stopping = new AbortController()
  const sources = [source('directory'), source('configs')]
  const running = readManifests({ sources, store, clock, log: silentLog, resyncMs: 3_600_000, onRead: () => undefined }, stopping.signal)
  await clock.pass(10_000)
  expect(store.get('web').kind).toBe('present')
  documents = []
  hint()
  await clock.pass(60_000)
  expect(store.get('web').kind).toBe('unknown')
  await clock.pass(1_000)
  expect(store.get('web').kind).toBe('removed')
  await clock.pass(600_000)
  expect(reads).toEqual({ directory: 3, configs: 2 })
  stopping.abort()
  await running
})

/** A source that can read what its hints name; what is in `all` and was not named is found by a whole read alone. */
function aNamingSource() {
  const made = {
    all: [web] as readonly SourceDocument[],
    named: undefined as readonly SourceDocument[] | undefined,
    whole: 0,
    ahead: 0,
    hint: (): void => undefined,
  }
  const snapshot = (documents: readonly SourceDocument[]) => ({ source: 'directory', complete: true, message: '', documents })
  const source: ManifestSource = {
    async read() {
      made.whole += 1
      return snapshot(made.all)
    },
    readHinted: async () => made.named && snapshot(made.named),
    async readAhead() {
      made.ahead += 1
    },
    watch(onHint) {
      made.hint = onHint
      return () => undefined
    },
  }
  return Object.assign(made, { source })
}

async function reading() {
  const clock = virtualClock()
  const store = aStore({ sources: 1, removalGraceMs: 1_000 }, clock)
  store.setOwnedVms(new Map())
  const naming = aNamingSource()
  const stopping = new AbortController()
  const ports = { sources: [naming.source], store, clock, log: silentLog, resyncMs: 3_600_000, onRead: () => undefined }
  const running = readManifests(ports, stopping.signal)
  await clock.pass(10_000)
  return {
    clock,
    naming,
    store,
    async stop() {
      stopping.abort()
      await running
    },
  }
}

const edited = (generation: string): ValidDocument => ({ ...web, generation })
const generationOf = (store: TestStore): string => {
  const declaration = store.get('web')
  return declaration.kind === 'present' ? declaration.generation : declaration.kind
}

it('acts on what a hint names after the debounce, and reads everything when it is quiet', async () => {
  const { clock, naming, store, ...reader } = await reading()
  naming.named = [edited('named')]
  naming.all = [edited('whole')]
  naming.hint()
  await clock.pass(200)
  expect([generationOf(store), naming.whole]).toEqual(['named', 1])
  await clock.pass(300)
  expect([generationOf(store), naming.whole]).toEqual(['whole', 2])
  await reader.stop()
})

it('reads a hinted file while it waits, without acting on it', async () => {
  const { clock, naming, store, ...reader } = await reading()
  naming.named = [edited('named')]
  const was = generationOf(store)
  naming.hint()
  await clock.pass(199)
  expect([generationOf(store), naming.ahead]).toEqual([was, 1])
  await clock.pass(1)
  expect(generationOf(store)).toBe('named')
  await reader.stop()
})

it('counts the debounce from the hint, also where everything was just being read', async () => {
  const { clock, naming, store, ...reader } = await reading()
  let finish = (): void => undefined
  naming.source.read = () =>
    new Promise((resolve) => (finish = () => resolve({ source: 'directory', complete: true, message: '', documents: [web] })))
  naming.hint()
  // Not named by it: a whole read.
  await clock.pass(200)
  naming.named = [edited('named')]
  naming.hint()
  await clock.pass(150)
  finish()
  await clock.pass(50)
  expect(generationOf(store)).toBe('named')
  await reader.stop()
})

it('reads everything at once where hints do not name all that changed', async () => {
  const { clock, naming, store, ...reader } = await reading()
  naming.all = [edited('whole')]
  naming.hint()
  await clock.pass(200)
  expect([generationOf(store), naming.whole]).toEqual(['whole', 2])
  await reader.stop()
})

it('reads everything in the middle of a burst that does not end', async () => {
  const { clock, naming, ...reader } = await reading()
  naming.named = [edited('named')]
  for (let ms = 0; ms < 6_000; ms += 100) {
    naming.hint()
    await clock.pass(100)
  }
  expect(naming.whole).toBeGreaterThan(2)
  await reader.stop()
})

it('takes nothing for removed by what hints named alone', async () => {
  const { clock, naming, store, ...reader } = await reading()
  naming.named = []
  for (let ms = 0; ms < 1_900; ms += 100) {
    naming.hint()
    await clock.pass(100)
  }
  // The grace is over, and no whole read has said that it is absent.
  expect([generationOf(store), naming.whole]).toEqual(['unknown', 1])
  await clock.pass(1_000)
  expect(generationOf(store)).toBe('g')
  await reader.stop()
})

it('counts the grace by when a read began: a slow one says nothing of the time that it took', async () => {
  const clock = virtualClock()
  const store = aStore({ sources: 1, removalGraceMs: 50_000 }, clock)
  store.setOwnedVms(new Map())
  let documents = [web]
  const slow: ManifestSource = {
    async read() {
      const read = documents
      await new Promise<void>((resolve) => void clock.after(50_000, resolve))
      return { source: 'directory', complete: true, message: '', documents: read }
    },
    watch: () => () => undefined,
  }
  const stopping = new AbortController()
  const running = readManifests(
    { sources: [slow], store, clock, log: silentLog, resyncMs: 5_000, onRead: () => undefined },
    stopping.signal,
  )
  await clock.pass(51_000)
  expect(store.get('web').kind).toBe('present')
  // Seen as absent from 105 s on, by reads that begin at 55 s, 110 s and 165 s.
  documents = []
  await clock.pass(110_000)
  expect(store.get('web').kind).toBe('unknown')
  await clock.pass(60_000)
  expect(store.get('web').kind).toBe('removed')
  stopping.abort()
  await clock.pass(60_000)
  await running
})

it('reads again when something counts that was still being written', async () => {
  const clock = virtualClock()
  const store = aStore({ sources: 1, removalGraceMs: 60_000 }, clock)
  store.setOwnedVms(new Map())
  let reads = 0
  const source: ManifestSource = {
    async read() {
      reads += 1
      const unsettled = { source: 'directory', complete: false, message: 'web.yaml is being written', readAgainMs: 5_000, documents: [] }
      return reads === 1 ? unsettled : { source: 'directory', complete: true, message: '', documents: [web] }
    },
    watch: () => () => undefined,
  }
  const stopping = new AbortController()
  const ports = { sources: [source], store, clock, log: silentLog, resyncMs: 3_600_000, onRead: () => undefined }
  const running = readManifests(ports, stopping.signal)
  await clock.pass(4_900)
  expect([reads, store.get('web').kind]).toEqual([1, 'unknown'])
  await clock.pass(1_000)
  expect([reads, store.get('web').kind]).toEqual([2, 'present'])
  stopping.abort()
  await running
})
