import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { stateFiles } from '../../../src/adapters/node/state-files.ts'
import { overuseWatch } from '../../../src/agent/overuse.ts'
import { mostDiskBytes } from '../../../src/api/disk-bytes.ts'
import { type Layout, layout } from '../../../src/api/layout.ts'
import type { Overuse } from '../../../src/api/wire/agent-api.ts'
import type { StateFiles } from '../../../src/ports/state-files.ts'
import { aUid } from '../../support/branded.ts'

const uid = aUid('11111111-1111-4111-8111-111111111111')
const sizeBytes = 1024 ** 3
const allowedBytes = mostDiskBytes(sizeBytes) + 16 * 1024 ** 2
let paths: Layout
/** The size in lstat, for more bytes than a test should write. */
let takes: Record<string, number>

beforeEach(() => {
  paths = layout(mkdtempSync(join(tmpdir(), 'sv-')))
  takes = {}
  for (const path of [paths.disks(uid), paths.run(uid)]) mkdirSync(path, { recursive: true })
  const disks = [{ name: 'root', sizeBytes, imageSource: 'x', imageSha256: 'a'.repeat(64) }]
  const identity = { version: 1, uid, vm: 'web', cluster: 'lab', machineType: 'pc-q35-10.0', createdAt: '2026-11-29T00:00:00Z', disks }
  writeFileSync(paths.identityFile(uid), JSON.stringify(identity))
})
afterEach(() => rmSync(paths.root, { recursive: true }))

function write(path: string, bytes: number): void {
  writeFileSync(path, '')
  takes[path] = bytes
}

/** The result of one check. */
async function look(): Promise<readonly Overuse[]> {
  const stop = new AbortController()
  const clock = {
    now: () => 0,
    elapsed: () => 0,
    after: () => {
      queueMicrotask(() => stop.abort())
      return () => undefined
    },
  }
  const real = stateFiles()
  const stat: StateFiles['stat'] = async (path) => {
    const fact = await real.stat(path)
    return fact === undefined ? undefined : { ...fact, allocatedBytes: takes[path] ?? fact.allocatedBytes }
  }
  const log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined }
  const watch = overuseWatch({ layout: paths, files: { ...real, stat }, clock, log })
  await watch.run(stop.signal)
  return watch.latest()
}

it('reports nothing of a VM whose disk is full', async () => {
  write(paths.diskFile(uid, 'root'), mostDiskBytes(sizeBytes))
  write(paths.serialLog(uid), 2 * 1024 ** 2)
  expect(await look()).toEqual([])
})

it.each([
  ['a disk that outgrew its size', (): string => paths.diskFile(uid, 'root')],
  ['another file beside its disks', (): string => join(paths.disks(uid), 'more')],
  ['a file in run/', (): string => join(paths.run(uid), 'more')],
])('reports %s', async (_what, path) => {
  write(path(), allowedBytes + 5_000_000)
  expect(await look()).toEqual([{ uid, vm: 'web', usedBytes: expect.any(Number) as number, allowedBytes, hasUncounted: false }])
  expect((await look())[0]?.usedBytes).toBeGreaterThanOrEqual(allowedBytes + 5_000_000)
})

it('reports directories and too many files, without entering or counting them', async () => {
  mkdirSync(join(paths.run(uid), 'hidden'))
  expect(await look()).toMatchObject([{ vm: 'web', hasUncounted: true }])
  rmSync(join(paths.run(uid), 'hidden'), { recursive: true })
  for (let n = 0; n < 300; n += 1) writeFileSync(join(paths.run(uid), `f${n}`), '')
  expect(await look()).toMatchObject([{ vm: 'web', hasUncounted: true }])
})

it('reports a name that is no path for others, and goes on with the next VM', async () => {
  const other = aUid('22222222-2222-4222-8222-222222222222')
  mkdirSync(paths.run(other), { recursive: true })
  write(join(paths.run(other), 'more'), 17 * 1024 ** 2)
  writeFileSync(Buffer.concat([Buffer.from(`${paths.disks(uid)}/`), Buffer.alloc(200, 0xff)]), '')
  expect(await look()).toMatchObject([
    { uid, hasUncounted: true },
    { uid: other, hasUncounted: false },
  ])
})

it('follows no link out of the directory', async () => {
  symlinkSync('/usr', join(paths.run(uid), 'link'))
  expect(await look()).toEqual([])
})

it('reports a VM without an identity that takes more than nothing', async () => {
  rmSync(paths.identityFile(uid))
  write(paths.diskFile(uid, 'root'), 17 * 1024 ** 2)
  expect(await look()).toMatchObject([{ vm: null }])
})
