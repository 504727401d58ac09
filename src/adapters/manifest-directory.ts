import { type Dirent, constants } from 'node:fs'
import { open, readdir, realpath, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { watch } from 'chokidar'
import { sha256Hex } from '../api/hash.ts'
import type { ManifestSource, SourceDocument, SourceSnapshot } from '../ports/manifest-source.ts'
import { manifestReader, maxManifestBytes, type ReadManifest, unreadableFile } from './manifest-yaml.ts'

export interface DirectoryOptions {
  readonly path: string
  /** Polls for hints: for file systems without inotify, such as NFS. */
  readonly watchPolling: boolean
}

const source = 'directory'
/** Deep enough for environments and teams, and a bound for links that lead in circles. */
const maxDirectoryDepth = 4
const maxFiles = 5_000
const pollingMs = 1_000

/** Manifests as `*.yaml` and `*.yml` below a directory; links are followed, dotfiles and what editors drop are not read. */
export function manifestDirectory(options: DirectoryOptions): ManifestSource {
  const readText = unchangedKept(manifestReader())
  return {
    read: (signal) => readDirectory(options.path, readText, signal),
    watch(onHint) {
      // The links of git-sync are swapped, not written: their own change is what is to be seen.
      const watcher = watch(options.path, {
        followSymlinks: false,
        ignoreInitial: true,
        depth: maxDirectoryDepth,
        ...(options.watchPolling ? { usePolling: true, interval: pollingMs } : {}),
      })
      watcher.on('all', () => onHint())
      // Hints only: the controller reads again on its own timer.
      watcher.on('error', () => undefined)
      return () => void watcher.close()
    },
  }
}

/**
 * One read of a directory or of one file, whatever its name, as an operator names it: what is found there carries that path.
 * What does not exist or cannot be read makes the snapshot incomplete.
 */
export async function readManifests(path: string, readText: ReadManifest, signal?: AbortSignal): Promise<SourceSnapshot> {
  const walk: Walk = { files: [], problems: [], visited: new Set() }
  if (await isDirectory(path)) return readDirectory(path, readText, signal, path)
  return snapshotOf(walk, await readFile(walk, path, path, readText))
}

/** What does not exist is read as a file, which then says so. */
async function isDirectory(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  )
}

/** The same bytes give the same documents: a rescan costs reading, not parsing. Holds one entry a file, at most as many as files are read. */
function unchangedKept(readText: ReadManifest): ReadManifest {
  const held = new Map<string, { readonly hash: string; readonly documents: readonly SourceDocument[] }>()
  return (from, file, bytes) => {
    const hash = sha256Hex(bytes)
    const before = held.get(file)
    held.delete(file)
    const documents = before?.hash === hash ? before.documents : readText(from, file, bytes)
    held.set(file, { hash, documents })
    const [oldest] = held.keys()
    if (held.size > maxFiles && oldest !== undefined) held.delete(oldest)
    return documents
  }
}

function isManifestName(name: string): boolean {
  return /\.ya?ml$/.test(name) && !/^[.#~]/.test(name)
}

interface Walk {
  readonly files: { readonly path: string; readonly shown: string }[]
  readonly problems: string[]
  readonly visited: Set<string>
}

/** `prefix` goes before the paths that are shown. */
async function readDirectory(root: string, readText: ReadManifest, signal: AbortSignal | undefined, prefix = ''): Promise<SourceSnapshot> {
  const walk: Walk = { files: [], problems: [], visited: new Set() }
  await walkDirectory(walk, root, '', 0, signal)
  const documents: SourceDocument[] = []
  for (const file of walk.files.toSorted((a, b) => (a.shown < b.shown ? -1 : 1))) {
    signal?.throwIfAborted()
    documents.push(...(await readFile(walk, file.path, join(prefix, file.shown), readText)))
  }
  return snapshotOf(walk, documents)
}

function snapshotOf(walk: Walk, documents: readonly SourceDocument[]): SourceSnapshot {
  return { source, complete: walk.problems.length === 0, message: walk.problems.slice(0, 5).join('; '), documents }
}

/** What cannot be listed is a problem, never an empty directory. */
async function walkDirectory(walk: Walk, path: string, shown: string, depth: number, signal: AbortSignal | undefined): Promise<void> {
  signal?.throwIfAborted()
  const what = shown === '' ? 'the manifest directory' : `directory ${shown}`
  if (depth > maxDirectoryDepth) return void walk.problems.push(`${what} is more than ${maxDirectoryDepth} levels deep and is not read`)
  try {
    const real = await realpath(path)
    if (walk.visited.has(real)) return
    walk.visited.add(real)
    // Below the real one: a link that is swapped meanwhile must not make one read of two commits.
    for (const entry of await readdir(real, { withFileTypes: true })) await walkEntry(walk, real, shown, entry, depth, signal)
  } catch (error) {
    if (signal?.aborted) throw error
    walk.problems.push(`${what} cannot be read (${codeOf(error)})`)
  }
}

async function walkEntry(
  walk: Walk,
  path: string,
  shown: string,
  entry: Dirent,
  depth: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  // `..data` and `.git` are among these.
  if (entry.name.startsWith('.')) return
  const inner = join(path, entry.name)
  const innerShown = shown === '' ? entry.name : `${shown}/${entry.name}`
  if (entry.isDirectory() || (entry.isSymbolicLink() && (await isDirectoryLink(walk, inner, innerShown)))) {
    return walkDirectory(walk, inner, innerShown, depth + 1, signal)
  }
  if (!isManifestName(entry.name)) return
  if (walk.files.length >= maxFiles) return void (walk.problems.includes(tooMany) || walk.problems.push(tooMany))
  walk.files.push({ path: inner, shown: innerShown })
}

const tooMany = `more than ${maxFiles} manifests; the rest is not read`

async function isDirectoryLink(walk: Walk, path: string, shown: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory()
  } catch (error) {
    // Behind a link that leads nowhere there may have been a directory of manifests.
    if (!isManifestName(shown)) walk.problems.push(`link ${shown} cannot be followed (${codeOf(error)})`)
    return false
  }
}

async function readFile(walk: Walk, path: string, shown: string, readText: ReadManifest): Promise<readonly SourceDocument[]> {
  try {
    return readText(source, shown, await boundedBytes(path))
  } catch (error) {
    const reason = error instanceof Error && error.message === notAFile ? notAFile : codeOf(error)
    walk.problems.push(`${shown} cannot be read (${reason})`)
    return [unreadableFile(source, shown, `cannot be read: ${reason}`)]
  }
}

const notAFile = 'it is not a file'

/** One byte more than is allowed at most, so that the reader sees that it is too large. A pipe that carries a manifest's name must not hold anybody up. */
async function boundedBytes(path: string): Promise<Uint8Array> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    if (!(await file.stat()).isFile()) throw new Error(notAFile)
    const buffer = new Uint8Array(maxManifestBytes + 1)
    let length = 0
    while (length < buffer.length) {
      const { bytesRead } = await file.read(buffer, length, buffer.length - length, length)
      if (bytesRead === 0) break
      length += bytesRead
    }
    return buffer.subarray(0, length)
  } finally {
    await file.close()
  }
}

function codeOf(error: unknown): string {
  const { code, message } = error as { code?: string; message?: string }
  return code ?? message ?? 'unknown'
}
