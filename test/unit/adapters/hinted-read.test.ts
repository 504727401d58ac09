import { mkdirSync, mkdtempSync, realpathSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { hintedFiles, readOver, type WholeRead } from '../../../src/adapters/directory/hinted-read.ts'
import { nodeFiles } from '../../../src/adapters/directory/node-files.ts'
import { revisionOf } from '../../../src/adapters/directory/revision.ts'
import { emptyWalk, walkDirectory } from '../../../src/adapters/directory/walk.ts'
import { unreadableFile } from '../../../src/adapters/manifest/manifest-yaml.ts'
import type { ReadDocument } from '../../../src/api/manifest/source-documents.ts'

let root: string
beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'sv-hinted-')))
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

function put(path: string, text: string): void {
  writeFileSync(join(root, path), text)
}

/** A document whose message is the file's text. */
async function documentsOf(path: string, shown: string): Promise<readonly ReadDocument[]> {
  return [unreadableFile('directory', shown, await readFile(path, 'utf8'))]
}

async function readWhole(directory: string): Promise<WholeRead> {
  const walk = emptyWalk(nodeFiles, directory)
  await walkDirectory(walk, directory, '', 0, undefined)
  const files = await Promise.all(walk.files.map(async ({ path, shown }) => ({ path, shown, documents: await documentsOf(path, shown) })))
  const snapshot = { source: 'directory', complete: true, message: '', documents: files.flatMap((one) => one.documents) }
  return { snapshot, walk, revision: await revisionOf(nodeFiles, directory), files }
}

function texts(documents: readonly ReadDocument[] | undefined): readonly string[] | undefined {
  return documents?.map((one) => (one.ok ? '' : (one.issues[0]?.message ?? ''))).toSorted()
}

async function over(whole: WholeRead, ...paths: string[]): Promise<WholeRead | undefined> {
  return readOver(nodeFiles, root, whole, new Set(paths.map((path) => join(root, path))), documentsOf)
}

async function hintedRead(whole: WholeRead, ...paths: string[]): Promise<readonly string[] | undefined> {
  return texts((await over(whole, ...paths))?.snapshot.documents)
}

it('contains the current version of the named file, and the earlier versions of all others', async () => {
  put('a.yaml', 'a')
  put('b.yaml', 'b')
  const whole = await readWhole(root)
  put('a.yaml', 'a2')
  put('b.yaml', 'b2')
  expect(await hintedRead(whole, 'a.yaml')).toEqual(['a2', 'b'])
})

it('keeps what an earlier hint named', async () => {
  put('a.yaml', 'a')
  put('b.yaml', 'b')
  const whole = await readWhole(root)
  put('a.yaml', 'a2')
  const first = await over(whole, 'a.yaml')
  put('b.yaml', 'b2')
  expect(first && (await hintedRead(first, 'b.yaml'))).toEqual(['a2', 'b2'])
})

it('is undefined if a named file is new, gone or unreadable', async () => {
  put('a.yaml', 'a')
  const whole = await readWhole(root)
  put('new.yaml', 'new')
  expect(await hintedRead(whole, 'new.yaml')).toBeUndefined()
  expect(await hintedRead(whole, 'a.yaml', 'new.yaml')).toBeUndefined()
  rmSync(join(root, 'a.yaml'))
  expect(await hintedRead(whole, 'a.yaml')).toBeUndefined()
})

it('is none of a directory that was not read completely', async () => {
  put('a.yaml', 'a')
  const whole = await readWhole(root)
  expect(await hintedRead({ ...whole, snapshot: { ...whole.snapshot, complete: false } }, 'a.yaml')).toBeUndefined()
})

it('is none where a link was swapped: then everything is of another version', async () => {
  for (const commit of ['1', '2']) {
    mkdirSync(join(root, '.worktrees', commit), { recursive: true })
    put(`.worktrees/${commit}/a.yaml`, commit)
    put(`.worktrees/${commit}/b.yaml`, commit)
  }
  symlinkSync('.worktrees/1', join(root, 'current'))
  const whole = await readWhole(root)
  expect(await hintedRead(whole, '.worktrees/1/a.yaml')).toEqual(['1', '1'])
  symlinkSync('.worktrees/2', join(root, 'current.new'))
  renameSync(join(root, 'current.new'), join(root, 'current'))
  expect(await hintedRead(whole, '.worktrees/1/a.yaml')).toBeUndefined()
})

it('is none where git came to stand at another commit', async () => {
  mkdirSync(join(root, '.git'))
  put('.git/HEAD', `${'1'.repeat(40)}\n`)
  put('a.yaml', 'a')
  const whole = await readWhole(root)
  expect(await hintedRead(whole, 'a.yaml')).toEqual(['a'])
  put('.git/HEAD', `${'2'.repeat(40)}\n`)
  expect(await hintedRead(whole, 'a.yaml')).toBeUndefined()
})

it('is none of many files: reading all of them costs little more', async () => {
  for (let index = 0; index < 40; index += 1) put(`${index}.yaml`, '')
  const whole = await readWhole(root)
  expect(await hintedRead(whole, ...Array.from({ length: 40 }, (_one, index) => `${index}.yaml`))).toBeUndefined()
})

it('takes what was named once, and nothing where more than contents may have changed', () => {
  const hinted = hintedFiles()
  hinted.note({ file: 'a' })
  hinted.note({ file: 'a' })
  hinted.note({ file: 'b' })
  expect([...hinted.peek()]).toEqual(['a', 'b'])
  expect([...hinted.take()]).toEqual(['a', 'b'])
  expect(hinted.take().size).toBe(0)
  hinted.note('entries')
  hinted.note({ file: 'a' })
  expect([...hinted.take()]).toEqual(['a'])
  hinted.note({ file: 'a' })
  hinted.note('anything')
  expect(hinted.peek().size).toBe(0)
  expect(hinted.take().size).toBe(0)
})
