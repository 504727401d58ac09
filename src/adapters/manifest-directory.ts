import { stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { sha256Hex } from '../api/hash.ts'
import type { ManifestSource, ReadDocument, SourceSnapshot } from '../ports/manifest-source.ts'
import { boundedBytes, boundedBytesSync, notAFile } from './directory/bounded-file.ts'
import { fileMarks } from './directory/file-mark.ts'
import { type FileRead, hintedFiles, type ReadDocuments, readOver, type WholeRead } from './directory/hinted-read.ts'
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
  const files = unchangedKept(manifestReader())
  const path = resolve(options.path)
  const watching = { path, watchPolling: options.watchPolling, depth: maxDirectoryDepth, pollMs: options.pollMs ?? defaultPollMs }
  const hinted = hintedFiles()
  let last: WholeRead | undefined
  return {
    async read(signal) {
      files.begin()
      // What is named from now on may come too late for this read.
      hinted.take()
      last = undefined
      const whole = await readOneVersion(path, files.read, signal)
      last = 'files' in whole ? whole : undefined
      return 'files' in whole ? whole.snapshot : whole
    },
    async readAhead() {
      const named = hinted.peek()
      const meant = (last?.files ?? []).filter(({ path: one }) => named.has(one))
      // Who reads in earnest says what is wrong.
      await Promise.allSettled(meant.map(({ path: one, shown }) => files.read(one, shown)))
    },
    async readHinted() {
      const named = hinted.take()
      // Laid over each other until the next whole read.
      last = last === undefined ? undefined : await readOver(path, last, named, files.read)
      return last?.snapshot
    },
    watch: (onHint) =>
      watchDirectory(watching, (what) => {
        hinted.note(what)
        onHint()
      }),
  }
}

/**
 * One read of a directory or of one file, whatever its name, as an operator names it: what is found there carries that path.
 * What does not exist or cannot be read makes the snapshot incomplete.
 */
export async function readManifests(path: string, readText: ReadManifest, signal?: AbortSignal): Promise<SourceSnapshot> {
  const walk = emptyWalk()
  const { read } = unchangedKept(readText)
  const files = (await isDirectory(path))
    ? await readDirectory(walk, path, read, signal, path)
    : [{ path, shown: path, documents: await readFile(walk, path, path, read) }]
  return snapshotOf(walk, files)
}

/** What does not exist is read as a file, which then says so. */
async function isDirectory(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  )
}

interface Held {
  /** Of the file when it was read; undefined where it may have changed since without another one. */
  readonly mark: string | undefined
  readonly hash: string
  readonly documents: readonly ReadDocument[]
}

/** So often bytes are read whatever the file system says of a file: some say little. */
const wholeEveryMs = 300_000

/**
 * The same bytes give the same documents, and a file with the same mark is taken to have the same bytes, but every five minutes: a rescan costs
 * neither reading nor parsing. Holds one entry a file, at most as many as files are read.
 */
function unchangedKept(readText: ReadManifest): { readonly read: ReadDocuments; readonly begin: () => void } {
  const held = new Map<string, Held>()
  let wholeAtMs = performance.now()
  let isWhole = false
  let markOf = fileMarks()

  function keep(shown: string, now: Held): readonly ReadDocument[] {
    held.delete(shown)
    held.set(shown, now)
    const [oldest] = held.keys()
    if (held.size > maxFiles && oldest !== undefined) held.delete(oldest)
    return now.documents
  }

  return {
    begin() {
      markOf = fileMarks()
      isWhole = performance.now() - wholeAtMs >= wholeEveryMs
      if (isWhole) wholeAtMs = performance.now()
    },
    async read(path, shown) {
      const before = held.get(shown)
      const { mark, isLocal } = await markOf(path)
      if (before !== undefined && mark !== undefined && mark === before.mark && !isWhole) return keep(shown, before)
      const bytes = isLocal ? boundedBytesSync(path, maxManifestBytes + 1) : await boundedBytes(path, maxManifestBytes + 1)
      const hash = sha256Hex(bytes)
      const documents = before?.hash === hash ? before.documents : readText(source, shown, bytes)
      return keep(shown, { mark, hash, documents })
    },
  }
}

/** Enough to keep the file system busy. */
const filesAtOnce = 16

/** Never of two versions, where versions are swapped by links as git-sync and the kubelet do it, or end with a new HEAD as git does. */
async function readOneVersion(
  path: string,
  readDocuments: ReadDocuments,
  signal: AbortSignal | undefined,
): Promise<WholeRead | SourceSnapshot> {
  for (let attempt = 1; attempt <= maxAttempts; attempt += 1) {
    signal?.throwIfAborted()
    const walk = emptyWalk()
    const revision = await revisionOf(path)
    const files = await readDirectory(walk, path, readDocuments, signal)
    if ((await hasMoved(walk)) || (await revisionOf(path)) !== revision) continue
    const snapshot = snapshotOf(walk, files)
    return { snapshot: revision === undefined ? snapshot : { ...snapshot, revision }, walk, revision, files }
  }
  const message = `the manifest directory changed while it was read, ${maxAttempts} times in a row; what was read before stays in force`
  return { source, complete: false, message, documents: [] }
}

/** `prefix` goes before the paths that are shown. */
async function readDirectory(
  walk: Walk,
  root: string,
  readDocuments: ReadDocuments,
  signal: AbortSignal | undefined,
  prefix = '',
): Promise<readonly FileRead[]> {
  await walkDirectory(walk, root, '', 0, signal)
  const found: FileRead[] = []
  const files = walk.files.toSorted((a, b) => (a.shown < b.shown ? -1 : 1))
  for (let from = 0; from < files.length; from += filesAtOnce) {
    signal?.throwIfAborted()
    const some = files.slice(from, from + filesAtOnce)
    const read = some.map(async ({ path, shown: name }) => {
      const shown = join(prefix, name)
      return { path, shown, documents: await readFile(walk, path, shown, readDocuments) }
    })
    found.push(...(await Promise.all(read)))
    // Files that are known are looked at without a pause: others are to be heard in between.
    await nextTurn()
  }
  return found
}

function snapshotOf(walk: Walk, files: readonly FileRead[]): SourceSnapshot {
  const documents = files.flatMap((file) => file.documents)
  return { source, complete: walk.problems.length === 0, message: walk.problems.slice(0, 5).join('; '), documents }
}

/** One byte more than is allowed at most, so that the reader sees that it is too large. */
async function readFile(walk: Walk, path: string, shown: string, readDocuments: ReadDocuments): Promise<readonly ReadDocument[]> {
  try {
    return await readDocuments(path, shown)
  } catch (error) {
    const reason = error instanceof Error && error.message === notAFile ? notAFile : codeOf(error)
    walk.problems.push(`${shown} cannot be read (${reason})`)
    return [unreadableFile(source, shown, `cannot be read: ${reason}`)]
  }
}
