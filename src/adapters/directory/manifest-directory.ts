import { resolve } from 'node:path'
import type { ManifestSource } from '../../ports/manifest-source.ts'
import type { ReadDocument, SourceSnapshot } from '../../api/manifest/source-documents.ts'
import { type FileRead, hintedFiles, type ReadDocuments, readOver, type WholeRead } from './hinted-read.ts'
import { ignoreFile, ignoreFileName, ignoreRules, type IsIgnored, maxIgnoreBytes } from './ignore-file.ts'
import { type ManifestRoot, manifestRoot } from './inside.ts'
import { type CachedFiles, cachedFiles, settled, type Settling, UnsettledError } from './cached-files.ts'
import { readFile, readFiles, snapshotOf, source } from './read-directory.ts'
import { revisionOf } from './revision.ts'
import { looksSecret } from './secret-names.ts'
import type { SourceFiles } from './source-files.ts'
import { whereTo } from './links.ts'
import { nodeFiles } from './node-files.ts'
import { codeOf, emptyWalk, hasMoved, maxDirectoryDepth, noOutcomes, type Outcomes, type Walk, walkDirectory } from './walk.ts'
import { manifestReader, maxManifestBytes, type ReadManifest } from '../manifest/manifest-yaml.ts'

export interface DirectoryOptions {
  readonly path: string
  /** Polls for hints, for file systems without inotify, such as NFS. */
  readonly watchPolling: boolean
  readonly pollMs?: number
  readonly settling?: Settling
  /** Without it, the file system of this machine. */
  readonly files?: SourceFiles
  readonly readText?: ReadManifest
}

const defaultPollMs = 1_000
/** Versions that are swapped faster than this many reads cannot be read. */
const maxAttempts = 5

/** Manifests from the files below a directory: `*.yaml`, `*.yml` and `*.json`, without dotfiles and without files that `.swarmvirtignore` lists. */
export function manifestDirectory(options: DirectoryOptions): ManifestSource {
  const sourceFiles = options.files ?? nodeFiles
  const files = filesOf(sourceFiles, options.readText ?? manifestReader(), options.settling ?? settled)
  const path = resolve(options.path)
  const watching = { path, watchPolling: options.watchPolling, depth: maxDirectoryDepth, pollMs: options.pollMs ?? defaultPollMs }
  const hinted = hintedFiles()
  let last: WholeRead | undefined
  return {
    async read(signal) {
      files.manifests.begin()
      files.rules.begin()
      // A hint from now on may be too late for this read.
      hinted.take()
      last = undefined
      const whole = await readOneVersion(path, files, signal)
      last = 'files' in whole ? whole : undefined
      return 'files' in whole ? whole.snapshot : whole
    },
    async readAhead() {
      const named = hinted.peek()
      const meant = (last?.files ?? []).filter(({ path: one }) => named.has(one))
      // The actual read reports errors.
      await Promise.allSettled(meant.map(({ path: one, shown }) => files.manifests.read(one, shown)))
    },
    async readHinted() {
      const named = hinted.take()
      // Combined until the next full read.
      last = last === undefined ? undefined : await readOver(sourceFiles, path, last, named, files.manifests.read)
      return last?.snapshot
    },
    watch: (onHint) =>
      sourceFiles.watch(watching, (what) => {
        hinted.note(what)
        onHint()
      }),
  }
}

/**
 * Reads a directory once, or one file of any name, as given by an operator. Results carry that path. A missing or unreadable file makes the snapshot
 * incomplete. So does a file that looks like a secret and was not named explicitly.
 */
export async function readManifests(path: string, readText: ReadManifest, signal?: AbortSignal): Promise<SourceSnapshot> {
  const files = filesOf(nodeFiles, readText, undefined)
  if (await isDirectory(path)) {
    const spared = { ...files, manifests: { ...files.manifests, read: withoutSecrets(files.manifests.read) } }
    try {
      return (await readUnder(path, await manifestRoot(nodeFiles, path), spared, signal, path)).snapshot
    } catch (error) {
      return unreadableDirectory(path, error, signal)
    }
  }
  const outcomes = noOutcomes()
  const real = await nodeFiles.realpath(path).catch(() => path)
  const documents = await readFile({ path: real, shown: path }, outcomes, files.manifests.read)
  return snapshotOf(outcomes, [{ path: real, shown: path, documents }])
}

/** A missing path is read as a file, which reports the error. */
async function isDirectory(path: string): Promise<boolean> {
  return nodeFiles.stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  )
}

interface Files {
  readonly sourceFiles: SourceFiles
  readonly manifests: CachedFiles<readonly ReadDocument[]>
  readonly rules: CachedFiles<IsIgnored>
}

function filesOf(files: SourceFiles, readText: ReadManifest, settling: Settling | undefined): Files {
  const parse = (shown: string, bytes: Uint8Array): readonly ReadDocument[] => readText(source, shown, bytes)
  const isIdle = (documents: readonly ReadDocument[]): boolean => documents.every((one) => !one.ok && one.otherKind !== undefined)
  return {
    sourceFiles: files,
    manifests: cachedFiles({ files, parse, maxBytes: maxManifestBytes, settling, isIdle }),
    rules: cachedFiles({ files, parse: (_shown, bytes) => ignoreRules(bytes), maxBytes: maxIgnoreBytes, settling }),
  }
}

/** An error message quotes three lines of the file, and may end up in the log of a pipeline. */
function withoutSecrets(read: ReadDocuments): ReadDocuments {
  return (path, shown) => {
    if (!looksSecret(path)) return read(path, shown)
    throw new Error(`it looks like a secret: name it explicitly to read it, or list it in ${ignoreFileName}`)
  }
}

/** Never mixes two versions. git-sync and the kubelet swap versions by links, and git ends with a new HEAD. */
async function readOneVersion(path: string, files: Files, signal: AbortSignal | undefined): Promise<WholeRead | SourceSnapshot> {
  const { sourceFiles } = files
  for (let attempt = 1; attempt <= maxAttempts; attempt += 1) {
    signal?.throwIfAborted()
    try {
      const revision = await revisionOf(sourceFiles, path)
      const { snapshot, ...rest } = await readUnder(path, await manifestRoot(sourceFiles, path), files, signal)
      if ((await hasMoved(sourceFiles, rest.walk)) || (await revisionOf(sourceFiles, path)) !== revision) continue
      return { snapshot: revision === undefined ? snapshot : { ...snapshot, revision }, revision, ...rest }
    } catch (error) {
      // A missing target exists again, so retry.
      if (codeOf(error) !== 'ENOENT' || (await whereTo(sourceFiles, path)) === undefined) return unreadableDirectory('', error, signal)
    }
  }
  const message = `the manifest directory changed while it was read, ${maxAttempts} times in a row; the previous manifests stay in use`
  return { source, complete: false, message, documents: [] }
}

function unreadableDirectory(path: string, error: unknown, signal: AbortSignal | undefined): SourceSnapshot {
  if (signal?.aborted) throw error
  const message = `${path === '' ? 'the manifest directory' : path} cannot be read (${codeOf(error)})`
  return { source, complete: false, message, documents: [] }
}

interface OneRead {
  readonly snapshot: SourceSnapshot
  readonly walk: Walk
  readonly files: readonly FileRead[]
}

/** `prefix` is added to the paths in the results. */
async function readUnder(path: string, root: ManifestRoot, files: Files, signal?: AbortSignal, prefix = ''): Promise<OneRead> {
  const outcomes = noOutcomes()
  const isIgnored = await rulesOf(root, files, outcomes)
  const walk = emptyWalk(files.sourceFiles, root.boundary, isIgnored, outcomes)
  walk.followed.set(path, root.directory)
  if (root.directory === undefined) {
    const message = `this version has no directory ${root.below}, so it has no manifests`
    return { snapshot: { source, complete: true, message, documents: [] }, walk, files: [] }
  }
  // If the ignore rules are unreadable, no file is read, since some should be ignored.
  if (isIgnored !== undefined) await walkDirectory(walk, root.directory, '', 0, signal)
  const read = await readFiles(walk, files.manifests.read, prefix, signal)
  return { snapshot: snapshotOf(walk, read), walk, files: read }
}

/** Undefined if the rules are unreadable. */
async function rulesOf(root: ManifestRoot, { sourceFiles, rules }: Files, { problems, leftMs }: Outcomes): Promise<IsIgnored | undefined> {
  try {
    const path = await ignoreFile(sourceFiles, root)
    return path === undefined ? () => false : await rules.read(path, ignoreFileName)
  } catch (error) {
    if (!(error instanceof UnsettledError)) {
      problems.push(`${ignoreFileName} cannot be used (${codeOf(error)}), so no manifest is read`)
      return undefined
    }
    problems.push(`${ignoreFileName}: ${error.message}`)
    leftMs.push(error.leftMs)
    return (error as UnsettledError<IsIgnored>).before
  }
}
