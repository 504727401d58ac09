import { join } from 'node:path'
import type { IsIgnored } from './ignore-file.ts'
import { resolveInside } from './inside.ts'
import { whereTo } from './links.ts'
import { entriesOf } from './opened.ts'
import type { DirectoryEntry, SourceFiles } from './source-files.ts'

/** Manifests are read down to this depth, which is enough for environments and teams. */
export const maxDirectoryDepth = 4
/** Files are searched down to this depth, so that a manifest below the limit is reported. It also bounds the walk of huge trees. */
const maxSearchDepth = 32
export const maxFiles = 5_000
/** Number of entries between two yields to the event loop. */
const entriesAtOnce = 100

export interface FoundFile {
  /** Contains no symlinks, so a link that is swapped during a read does not mix two commits. */
  readonly path: string
  /** Path below the manifest directory. */
  readonly shown: string
  /** True if it is below the depth limit. */
  readonly isTooDeep: boolean
  /** Why it cannot be read. Undefined if no problem is known. */
  readonly unreadable?: string
}

/** Results of one read besides its documents. */
export interface Outcomes {
  /** Why the read is incomplete. */
  readonly problems: string[]
  /** Milliseconds until each file that may still be written is used. */
  readonly leftMs: number[]
}

export function noOutcomes(): Outcomes {
  return { problems: [], leftMs: [] }
}

/** Results of one walk through a directory. */
export interface Walk extends Outcomes {
  readonly sourceFiles: SourceFiles
  /** Nothing outside is opened. The path contains no symlinks. */
  readonly boundary: string
  readonly isIgnored: IsIgnored
  readonly files: FoundFile[]
  /** The target of each followed directory and link. Undefined if it led out, or nowhere. */
  readonly followed: Map<string, string | undefined>
  readonly visited: Set<string>
}

export function emptyWalk(sourceFiles: SourceFiles, boundary: string, isIgnored: IsIgnored = () => false, outcomes = noOutcomes()): Walk {
  return { sourceFiles, boundary, isIgnored, files: [], followed: new Map(), visited: new Set(), ...outcomes }
}

/** True if a followed path has another target now, so the read may mix two versions. */
export async function hasMoved(files: SourceFiles, { boundary, followed }: Pick<Walk, 'boundary' | 'followed'>): Promise<boolean> {
  for (const [path, before] of followed) {
    // A link that leads out still has a target.
    const now = before === undefined ? await resolveInside(files, boundary, path).catch(() => undefined) : await whereTo(files, path)
    if (now !== before) return true
  }
  return false
}

/** Resolves a link inside the boundary. Throws LeadsOutError, or the system's error if it has no target. */
async function follow(walk: Walk, path: string): Promise<string> {
  walk.followed.set(path, undefined)
  const real = await resolveInside(walk.sourceFiles, walk.boundary, path)
  walk.followed.set(path, real)
  return real
}

/**
 * A directory that cannot be listed is a problem, never an empty directory. A directory that no longer exists is an absence. `path` contains no
 * symlinks, and `shown` is the path below the manifest directory.
 */
export async function walkDirectory(walk: Walk, path: string, shown: string, depth: number, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted()
  const what = shown === '' ? 'the manifest directory' : `directory ${shown}`
  if (walk.visited.has(path)) return
  if (depth > maxSearchDepth) return void walk.problems.push(`${what} is more than ${maxSearchDepth} levels deep and is not read`)
  walk.visited.add(path)
  walk.followed.set(path, path)
  try {
    const entries = await entriesOf(walk.sourceFiles, path)
    for (const [index, entry] of entries.entries()) {
      if (index % entriesAtOnce === entriesAtOnce - 1) await walk.sourceFiles.nextTurn()
      await walkEntry(walk, path, shown, entry, depth, signal)
    }
  } catch (error) {
    if (signal?.aborted) throw error
    if (shown !== '' && codeOf(error) === 'ENOENT') return void walk.followed.set(path, undefined)
    walk.problems.push(`${what} cannot be read (${codeOf(error)})`)
  }
}

async function walkEntry(
  walk: Walk,
  path: string,
  shown: string,
  entry: DirectoryEntry,
  depth: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  // This covers `..data` and `.git`.
  if (entry.name.startsWith('.')) return
  const inner = join(path, entry.name)
  const innerShown = shown === '' ? entry.name : `${shown}/${entry.name}`
  const isName = isManifestName(entry.name)
  // The rules distinguish files and directories. A link counts as a file.
  if (!(isName || entry.isDirectory() || entry.isSymbolicLink()) || walk.isIgnored(innerShown, entry.isDirectory())) return
  const isLink = entry.isSymbolicLink()
  const { isDirectory, ...place } = isLink ? await linkedPlace(walk, inner) : { path: inner, isDirectory: entry.isDirectory() }
  if (isDirectory) return walkDirectory(walk, place.path, innerShown, depth + 1, signal)
  // The target of a link that cannot be followed may be, or may have been, a directory of manifests.
  if (!isName)
    return void (place.unreadable !== undefined && walk.problems.push(`link ${innerShown} is not followed (${place.unreadable})`))
  if (walk.files.length >= maxFiles) return void (walk.problems.includes(tooMany) || walk.problems.push(tooMany))
  walk.files.push({ ...place, shown: innerShown, isTooDeep: depth > maxDirectoryDepth })
}

const tooMany = `more than ${maxFiles} manifests; the rest is not read`

/** JSON is valid YAML. */
function isManifestName(name: string): boolean {
  return /\.(?:ya?ml|json)$/i.test(name) && !/^[.#~]/.test(name)
}

interface Place extends Pick<FoundFile, 'path' | 'unreadable'> {
  readonly isDirectory: boolean
}

async function linkedPlace(walk: Walk, path: string): Promise<Place> {
  try {
    const real = await follow(walk, path)
    return { path: real, isDirectory: (await walk.sourceFiles.lstat(real)).isDirectory() }
  } catch (error) {
    return { path, isDirectory: false, unreadable: codeOf(error) }
  }
}

export function codeOf(error: unknown): string {
  const { code, message } = error as { code?: string; message?: string }
  return code ?? message ?? 'unknown'
}
