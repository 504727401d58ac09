import { stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { sha256Hex } from '../api/hash.ts'
import type { ManifestSource, ReadDocument, SourceSnapshot } from '../ports/manifest-source.ts'
import { boundedBytes, notAFile } from './directory/bounded-file.ts'
import { codeOf, emptyWalk, hasMoved, maxDirectoryDepth, maxFiles, type Walk, walkDirectory } from './directory/walk.ts'
import { watchDirectory } from './directory/watch.ts'
import { revisionOf } from './directory/revision.ts'
import { manifestReader, maxManifestBytes, type ReadManifest, unreadableFile } from './manifest-yaml.ts'

export interface DirectoryOptions {
  readonly path: string
  /** Polls for hints: for file systems without inotify, such as NFS. */
  readonly watchPolling: boolean
  readonly pollMs?: number
}

const source = 'directory'
const defaultPollMs = 1_000
/** Who swaps faster than that never lets anybody read. */
const maxAttempts = 5

/** Manifests as `*.yaml` and `*.yml` below a directory; links are followed, dotfiles and what editors drop are not read. */
export function manifestDirectory(options: DirectoryOptions): ManifestSource {
  const readText = unchangedKept(manifestReader())
  const path = resolve(options.path)
  const watching = { path, watchPolling: options.watchPolling, depth: maxDirectoryDepth, pollMs: options.pollMs ?? defaultPollMs }
  return {
    read: (signal) => readOneVersion(path, readText, signal),
    watch: (onHint) => watchDirectory(watching, onHint),
  }
}

/**
 * One read of a directory or of one file, whatever its name, as an operator names it: what is found there carries that path.
 * What does not exist or cannot be read makes the snapshot incomplete.
 */
export async function readManifests(path: string, readText: ReadManifest, signal?: AbortSignal): Promise<SourceSnapshot> {
  const walk = emptyWalk()
  if (await isDirectory(path)) return readDirectory(walk, path, readText, signal, path)
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
  const held = new Map<string, { readonly hash: string; readonly documents: readonly ReadDocument[] }>()
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

/** Never of two versions, where versions are swapped by links as git-sync and the kubelet do it, or end with a new HEAD as git does. */
async function readOneVersion(path: string, readText: ReadManifest, signal: AbortSignal | undefined): Promise<SourceSnapshot> {
  for (let attempt = 1; attempt <= maxAttempts; attempt += 1) {
    signal?.throwIfAborted()
    const walk = emptyWalk()
    const revision = await revisionOf(path)
    const snapshot = await readDirectory(walk, path, readText, signal)
    if ((await hasMoved(walk)) || (await revisionOf(path)) !== revision) continue
    return revision === undefined ? snapshot : { ...snapshot, revision }
  }
  const message = `the manifest directory changed while it was read, ${maxAttempts} times in a row; what was read before stays in force`
  return { source, complete: false, message, documents: [] }
}

/** `prefix` goes before the paths that are shown. */
async function readDirectory(
  walk: Walk,
  root: string,
  readText: ReadManifest,
  signal: AbortSignal | undefined,
  prefix = '',
): Promise<SourceSnapshot> {
  await walkDirectory(walk, root, '', 0, signal)
  const documents: ReadDocument[] = []
  for (const file of walk.files.toSorted((a, b) => (a.shown < b.shown ? -1 : 1))) {
    signal?.throwIfAborted()
    documents.push(...(await readFile(walk, file.path, join(prefix, file.shown), readText)))
  }
  return snapshotOf(walk, documents)
}

function snapshotOf(walk: Walk, documents: readonly ReadDocument[]): SourceSnapshot {
  return { source, complete: walk.problems.length === 0, message: walk.problems.slice(0, 5).join('; '), documents }
}

/** One byte more than is allowed at most, so that the reader sees that it is too large. */
async function readFile(walk: Walk, path: string, shown: string, readText: ReadManifest): Promise<readonly ReadDocument[]> {
  try {
    return readText(source, shown, await boundedBytes(path, maxManifestBytes + 1))
  } catch (error) {
    const reason = error instanceof Error && error.message === notAFile ? notAFile : codeOf(error)
    walk.problems.push(`${shown} cannot be read (${reason})`)
    return [unreadableFile(source, shown, `cannot be read: ${reason}`)]
  }
}
