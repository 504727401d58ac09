import { createHash } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { stateFiles } from '../../../src/adapters/node/state-files.ts'
import { keepLivePart } from '../../../src/agent/live-part.ts'
import { layout } from '../../../src/api/layout.ts'
import type { OrderedLivePart } from '../../../src/api/wire/live-part.ts'
import { aUid } from '../../support/branded.ts'

const uid = aUid('6f1b3a52-3c1d-4a89-9a53-0f6f4f1f9c11')
let paths: ReturnType<typeof layout>

const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex')

beforeEach(() => {
  paths = layout(mkdtempSync(join(tmpdir(), 'sv-live-')))
  for (const directory of [paths.store, paths.isos, paths.instances, paths.instance(uid)]) mkdirSync(directory)
})
afterEach(() => rmSync(paths.root, { recursive: true }))

/** A store that copies at once. */
const isos = {
  resolve: async ({ source }: { readonly source: string }) => {
    const path = join(paths.root, source)
    if (!existsSync(path)) return { kind: 'failed' as const, reason: 'ImageMissing', message: `${source} is missing` }
    const text = readFileSync(path, 'utf8')
    const stored = paths.storedImage(hashOf(text))
    if (!existsSync(stored)) writeFileSync(stored, text)
    chmodSync(stored, 0o440)
    return { kind: 'stored' as const, image: { sha256: hashOf(text), format: 'raw' as const, virtualSizeBytes: text.length } }
  },
}

const keep = (live?: OrderedLivePart) => keepLivePart({ layout: paths, files: stateFiles(), isos }, { uid, ...(live && { live }) })
const insert = (path: string | null) => keep({ cdroms: [{ name: 'tools', path }] })
const offer = (name: string, text: string): void => writeFileSync(join(paths.isos, name), text)
const kept = (): unknown => JSON.parse(readFileSync(paths.livePartFile(uid), 'utf8'))
const discs = (): readonly string[] => readdirSync(paths.instanceIsos(uid))

test('a VM without a live part has no file for one', async () => {
  expect(await keep()).toBeUndefined()
  expect(readdirSync(paths.instance(uid))).toEqual([])
})

test('nothing is made for a VM whose directory is lost', async () => {
  rmSync(paths.instance(uid), { recursive: true })
  offer('a.iso', 'A')
  expect(await insert('isos/a.iso')).toBeUndefined()
  expect(existsSync(paths.instance(uid))).toBe(false)
})

test('a disc is a link into the store, and the runner finds it by its hash', async () => {
  offer('a.iso', 'A')
  expect(await insert('isos/a.iso')).toBeUndefined()
  expect(kept()).toEqual({ version: 1, cdroms: [{ name: 'tools', sha256: hashOf('A'), path: 'isos/a.iso' }] })
  const { ino, mode } = statSync(join(paths.instanceIsos(uid), hashOf('A')))
  expect([ino, mode & 0o777]).toEqual([statSync(paths.storedImage(hashOf('A'))).ino, 0o440])
})

test('a disc that is not there is reported, and the drive keeps the old one', async () => {
  offer('a.iso', 'A')
  await insert('isos/a.iso')
  expect(await insert('isos/b.iso')).toEqual({
    state: 'failed',
    reason: 'ImageMissing',
    message: 'CD-ROM drive tools: isos/b.iso is missing',
  })
  expect(kept()).toMatchObject({ cdroms: [{ sha256: hashOf('A') }] })
  offer('b.iso', 'B')
  expect(await insert('isos/b.iso')).toBeUndefined()
  expect([kept(), discs()]).toMatchObject([{ cdroms: [{ sha256: hashOf('B') }] }, [hashOf('B')]])
})

test('a file that is overwritten or removed does not change the disc of a guest', async () => {
  offer('a.iso', 'A')
  await insert('isos/a.iso')
  offer('a.iso', 'other')
  await insert('isos/a.iso')
  rmSync(join(paths.isos, 'a.iso'))
  expect(await insert('isos/a.iso')).toBeUndefined()
  expect(discs()).toEqual([hashOf('A')])
})

test('an ejected disc goes, and so does that of a drive that leaves the manifest', async () => {
  offer('a.iso', 'A')
  await insert('isos/a.iso')
  await insert(null)
  expect([kept(), discs()]).toEqual([{ version: 1, cdroms: [{ name: 'tools', sha256: null }] }, []])
  await insert('isos/a.iso')
  await keep()
  expect([kept(), discs()]).toEqual([{ version: 1 }, []])
})

test('an invalid file is written again', async () => {
  writeFileSync(paths.livePartFile(uid), '{')
  await insert(null)
  expect(kept()).toEqual({ version: 1, cdroms: [{ name: 'tools', sha256: null }] })
})
