import { describe, expect, it } from 'vitest'
import { imageStore } from '../../../src/agent/image-store.ts'
import { layout } from '../../../src/api/layout.ts'
import type { ImageArrivals } from '../../../src/ports/image-arrivals.ts'
import type { ImageTool } from '../../../src/ports/image-tool.ts'
import { type FileFact, StateError, type StateFiles } from '../../../src/ports/state-files.ts'
import { evenRandom, silentLog, virtualClock } from '../controller/virtual-clock.ts'

const paths = layout('/s')
const image = { source: 'http://images/x.qcow2', sha256: 'a'.repeat(64) }

function aStore(options: { space?: () => Promise<{ totalBytes: number; freeBytes: number }>; arrivals?: Partial<ImageArrivals> } = {}) {
  const clock = virtualClock()
  const modified = new Map<string, number>()
  const files = {
    stat: async (path: string) => (modified.has(path) ? ({ kind: 'file', modifiedMs: modified.get(path) } as FileFact) : undefined),
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
  return { store, clock, modified, stop }
}

describe('the image store', () => {
  it('does not take a file system that cannot be asked for a full one', async () => {
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
