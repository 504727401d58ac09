import { dirname, join, resolve } from 'node:path'
import { boundedFile } from './bounded-file.ts'
import type { SourceFiles } from './source-files.ts'

const hash = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/
/** Ref names that git-check-ref-format(1) allows below `refs/`. They cannot lead out of the git directory. */
const ref = /^ref: (refs\/(?!.*(?:\.\.|\/\.|\/\/))[^\0-\x20\x7f~^:?*[\\]+)$/u
const smallFileBytes = 4 * 1024
/** Enough for some hundred thousand packed refs. A larger file is not read. */
const packedRefsBytes = 8 * 1024 * 1024

/** The checked-out commit of the git repository around a directory. Only reads files. Undefined if it is not certain. */
export async function gitHead(files: SourceFiles, directory: string): Promise<string | undefined> {
  try {
    const gitDirectory = await gitDirectoryAround(files, await files.realpath(directory))
    return gitDirectory === undefined ? undefined : await headOf(files, gitDirectory)
  } catch {
    // The revision is only informative. The directory can be read without it.
    return undefined
  }
}

/** The nearest git directory counts, as in git, even if it is unreadable. */
async function gitDirectoryAround(files: SourceFiles, directory: string): Promise<string | undefined> {
  for (let at = directory; ; at = dirname(at)) {
    const found = await files.lstat(join(at, '.git')).catch(absent)
    if (found?.isDirectory()) return join(at, '.git')
    if (found !== undefined) return await gitFile(files, at)
    if (at === dirname(at)) return undefined
  }
}

/** A worktree's `.git` is a file, see gitrepository-layout(5). */
async function gitFile(files: SourceFiles, at: string): Promise<string | undefined> {
  const target = /^gitdir: (.+)$/.exec((await lineOf(files, join(at, '.git'))) ?? '')?.[1]
  return target === undefined ? undefined : files.realpath(resolve(at, target))
}

async function headOf(files: SourceFiles, gitDirectory: string): Promise<string | undefined> {
  const head = await lineOf(files, join(gitDirectory, 'HEAD'))
  if (head === undefined || hash.test(head)) return head
  const name = ref.exec(head)?.[1]
  if (name === undefined) return undefined
  const shared = await files.realpath(resolve(gitDirectory, (await lineOf(files, join(gitDirectory, 'commondir'))) ?? '.'))
  const loose = await lineOf(files, join(shared, name))
  if (loose === undefined) return packed(files, shared, name)
  return hash.test(loose) ? loose : undefined
}

async function packed(files: SourceFiles, shared: string, name: string): Promise<string | undefined> {
  const text = await textOf(files, join(shared, 'packed-refs'), packedRefsBytes)
  const line = text?.split('\n').find((one) => one.endsWith(` ${name}`))
  const found = line?.slice(0, -name.length - 1)
  return found !== undefined && hash.test(found) ? found : undefined
}

/** Reads a small file that has one line. */
async function lineOf(files: SourceFiles, path: string): Promise<string | undefined> {
  return (await textOf(files, path, smallFileBytes))?.replace(/\n$/, '')
}

/** Does not follow symlinks: `HEAD` could link to a secret that looks like a commit. */
async function textOf(files: SourceFiles, path: string, maxBytes: number): Promise<string | undefined> {
  const file = await boundedFile(files, path, maxBytes + 1).catch(absent)
  if (file === undefined) return undefined
  const { bytes } = file
  if (bytes.length > maxBytes) throw new Error(`${path} is larger than ${maxBytes} bytes`)
  return new TextDecoder().decode(bytes)
}

/** Any error except a missing file is thrown. */
function absent(error: unknown): undefined {
  const { code } = error as NodeJS.ErrnoException
  if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
  throw error
}
