import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { imageStore } from '../../../src/agent/image-store.ts'
import { layout } from '../../../src/api/layout.ts'
import type { Arrival, ImageArrivals } from '../../../src/ports/image-arrivals.ts'
import type { ImageTool } from '../../../src/ports/image-tool.ts'
import { type FileFact, StateError, type StateFiles } from '../../../src/ports/state-files.ts'
import { evenRandom, silentLog, type VirtualClock, virtualClock } from '../controller/virtual-clock.ts'

const paths = layout('/s')
const image = { source: 'http://images/x.qcow2', sha256: 'a'.repeat(64) }

function aStore(options: { space?: () => Promise<{ totalBytes: number; freeBytes: number }>; arrivals?: Partial<ImageArrivals> } = {}) {
  const clock = virtualClock()
  const modified = new Map<string, number>()
  const sizes = new Map<string, Pick<FileFact, 'sizeBytes' | 'allocatedBytes'>>()
  const stat = async (path: string): Promise<FileFact | undefined> => {
    const modifiedMs = modified.get(path)
    if (modifiedMs === undefined) return undefined
    return { kind: 'file', modifiedMs, version: String(modifiedMs), sizeBytes: 1, allocatedBytes: 1, ...sizes.get(path) }
  }
  const files = {
    stat,
    list: async () => [...modified.keys()].map((path) => path.slice(paths.store.length + 1)),
    remove: async (path: string) => void modified.delete(path),
    space: options.space ?? (async () => ({ totalBytes: 2 ** 40, freeBytes: 2 ** 39 })),
  } as unknown as StateFiles
  const stop = new AbortController()
  const store = imageStore({
    layout: paths,
    files,
    arrivals: { ...options.arrivals } as ImageArrivals,
    tool: {} as ImageTool,
    clock,
    random: evenRandom,
    log: silentLog,
    signal: stop.signal,
  })
  return { store, clock, modified, sizes, stop }
}

const arrived = (sha256: string): Arrival => ({ sha256, bytes: 1, start: new Uint8Array(), contentType: undefined })
/** A download that ends when the test ends it, and receives `bytesPerSecond` until then. */
function aServer(clock: () => VirtualClock, bytesPerSecond: number): ImageArrivals['download'] {
  return (_url, _to, { signal, onProgress }) =>
    new Promise((_resolve, reject) => {
      let bytes = 0
      const send = (): void => {
        if (signal.aborted) return
        onProgress((bytes += bytesPerSecond), undefined)
        clock().after(1_000, send)
      }
      send()
      signal.addEventListener('abort', () => reject(signal.reason as Error))
    })
}
const remote = (name: string) => ({ source: `http://images/${name}`, sha256: createHash('sha256').update(name).digest('hex') })

describe('slow servers', () => {
  it('lose their slot, so that an image of another one arrives', async () => {
    const slow = aServer(() => clock, 2)
    const started: string[] = []
    const { store, clock, stop } = aStore({
      arrivals: {
        download: async (url, to, options) => {
          started.push(url)
          return url.endsWith('/fast') ? new Promise(() => undefined) : await slow(url, to, options)
        },
      },
    })
    for (const name of ['slow-1', 'slow-2', 'fast']) void store.resolve(remote(name)).catch(() => undefined)
    await clock.pass(59_000)
    expect(started).toEqual(['http://images/slow-1', 'http://images/slow-2'])
    await clock.pass(2_000)
    expect(started).toContain('http://images/fast')
    const state = store.resolve(remote('slow-1'))
    await clock.pass(1_000)
    expect(await state).toMatchObject({ kind: 'preparing', reason: 'ImageRetry', message: expect.stringContaining('minimum rate') })
    stop.abort(new Error('the test is over'))
  })

  it('keep it as long as they send enough in each window', async () => {
    const good = aServer(() => clock, 64 * 1024)
    let ended = false
    const { store, clock, stop } = aStore({
      arrivals: { download: (url, to, options) => good(url, to, options).finally(() => (ended = true)) },
    })
    void store.resolve(remote('good')).catch(() => undefined)
    await clock.pass(3_600_000)
    expect(ended).toBe(false)
    stop.abort(new Error('the test is over'))
  })

  it('hold up no copy of a local image', async () => {
    const copies: string[] = []
    const { store, clock, modified, stop } = aStore({
      arrivals: {
        download: () => new Promise(() => undefined),
        copy: (from) => {
          copies.push(from)
          return new Promise(() => undefined)
        },
      },
    })
    for (const name of ['a', 'b', 'c']) void store.resolve(remote(name)).catch(() => undefined)
    modified.set(`${paths.images}/local`, clock.now() - 60_000)
    void store.resolve({ source: 'images/local', sha256: null }).catch(() => undefined)
    await clock.pass(5_000)
    expect(copies).toEqual([`${paths.images}/local`])
    stop.abort(new Error('the test is over'))
  })
})

describe('an image of the operator', () => {
  const local = { source: 'images/local', sha256: null }

  it('that is still being written is not read until it has been quiet', async () => {
    const copies: string[] = []
    const { store, clock, modified, stop } = aStore({
      arrivals: {
        copy: async (from) => {
          copies.push(from)
          return arrived('b'.repeat(64))
        },
      },
    })
    for (let second = 0; second < 30; second += 1) {
      modified.set(`${paths.images}/local`, clock.now())
      expect(await store.resolve(local)).toMatchObject({
        kind: 'preparing',
        reason: 'ImageArriving',
        message: expect.stringContaining('still being written'),
      })
      await clock.pass(1_000)
    }
    expect(copies).toEqual([])
    await clock.pass(9_000)
    void store.resolve(local).catch(() => undefined)
    await clock.pass(1)
    expect(copies).toEqual([`${paths.images}/local`])
    stop.abort(new Error('the test is over'))
  })

  it('needs the room that it takes on the disk, and not the size that it shows', async () => {
    const space = async () => ({ totalBytes: 2 ** 40, freeBytes: 2 ** 33 })
    const { store, clock, modified, sizes, stop } = aStore({ space, arrivals: { copy: () => new Promise(() => undefined) } })
    modified.set(`${paths.images}/local`, clock.now() - 60_000)
    sizes.set(`${paths.images}/local`, { sizeBytes: 500 * 2 ** 30, allocatedBytes: 2 ** 30 })
    const sparse = store.resolve(local)
    await clock.pass(1_000)
    expect(await sparse).toMatchObject({ kind: 'preparing', reason: 'ImageArriving' })
    sizes.set(`${paths.images}/local`, { sizeBytes: 500 * 2 ** 30, allocatedBytes: 9 * 2 ** 30 })
    modified.set(`${paths.images}/local`, clock.now() - 50_000)
    expect(await store.resolve(local)).toMatchObject({ reason: 'InsufficientDisk', message: expect.stringContaining('needs 9 GiB') })
    stop.abort(new Error('the test is over'))
  })
})

describe('the image store', () => {
  it('treats a file system with unknown free space as full', async () => {
    const { store } = aStore({ space: () => Promise.reject(new StateError('Io', '/s/store: EIO')) })
    expect(await store.resolve(image)).toMatchObject({ kind: 'failed', reason: 'StateRootError', message: '/s/store: EIO' })
  })

  it('removes what a killed agent left also where that agent was killed just now', async () => {
    const { store, clock, modified, stop } = aStore()
    modified.set(`${paths.store}/local.partial-11111111-1111-4111-8111-111111111111`, clock.now())
    void store.sweep()
    await clock.pass(60_000)
    expect(modified.size).toBe(1)
    await clock.pass(3_600_000)
    expect(modified.size).toBe(0)
    stop.abort(new Error('the test is over'))
  })

  it('never removes what it writes itself, however long the disk takes', async () => {
    const { store, clock, modified, stop } = aStore({
      arrivals: {
        async download(_url, to) {
          modified.set(to, clock.now())
          return await new Promise(() => undefined)
        },
      },
    })
    void store.sweep()
    void store.resolve(image).catch(() => undefined)
    await clock.pass(7_200_000)
    expect(modified.size).toBe(1)
    stop.abort(new Error('the test is over'))
  })
})
