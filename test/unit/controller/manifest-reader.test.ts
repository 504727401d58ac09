import { expect, it } from 'vitest'
import type { VirtualMachine } from '../../../src/api/manifest.ts'
import { declarationStore } from '../../../src/controller/declarations.ts'
import { readManifests } from '../../../src/controller/manifest-reader.ts'
import type { ManifestSource, SourceDocument } from '../../../src/ports/manifest-source.ts'
import { silentLog, virtualClock } from './virtual-clock.ts'

const web: SourceDocument = {
  ok: true,
  origin: { source: 'directory', file: 'web.yaml', line: 1 },
  vm: { metadata: { name: 'web', labels: {}, annotations: {} }, spec: { networks: [] } } as unknown as VirtualMachine,
  generation: 'g',
}

it('judges an absence that showed when the Swarm was read', async () => {
  const clock = virtualClock()
  const store = declarationStore({ sources: 1, removalGraceMs: 5_000 }, clock)
  const empty: ManifestSource = {
    read: async () => ({ source: 'directory', complete: true, message: '', documents: [] }),
    watch: () => () => undefined,
  }
  const stopping = new AbortController()
  const ports = { sources: [empty], store, clock, log: silentLog, resyncMs: 3_600_000, onRead: () => undefined }
  const running = readManifests(ports, stopping.signal)
  await clock.pass(1_000)
  store.setWorld(new Map([['web', { generation: 'g', source: 'directory' }]]))
  await clock.pass(6_000)
  expect(store.get('web').kind).toBe('removed')
  stopping.abort()
  await running
})

it('judges an absence when the grace is over, however long the other source would have waited for its next read', async () => {
  const clock = virtualClock()
  const store = declarationStore({ sources: 2, removalGraceMs: 60_000 }, clock)
  store.setWorld(new Map())
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
