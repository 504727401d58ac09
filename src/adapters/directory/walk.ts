import type { Dirent } from 'node:fs'
import { readdir, realpath, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { whereTo } from './links.ts'

/** Deep enough for environments and teams, and a bound for links that lead in circles. */
export const maxDirectoryDepth = 4
export const maxFiles = 5_000

/** What one walk through a directory found. */
export interface Walk {
  /** `path` leads through no link: a link that is swapped meanwhile does not make one read of two commits. */
  readonly files: { readonly path: string; readonly shown: string }[]
  readonly problems: string[]
  /** Where each directory and each link led; undefined where it led nowhere. */
  readonly followed: Map<string, string | undefined>
  readonly visited: Set<string>
}

export function emptyWalk(): Walk {
  return { files: [], problems: [], followed: new Map(), visited: new Set() }
}

/** Something that was followed leads elsewhere by now, so what was read may be of two versions. */
export async function hasMoved(walk: Walk): Promise<boolean> {
  for (const [path, before] of walk.followed) if ((await whereTo(path)) !== before) return true
  return false
}

async function follow(walk: Walk, path: string): Promise<string> {
  walk.followed.set(path, undefined)
  const real = await realpath(path)
  walk.followed.set(path, real)
  return real
}

/** What cannot be listed is a problem, never an empty directory. `shown` is the path below the manifest directory. */
export async function walkDirectory(
  walk: Walk,
  path: string,
  shown: string,
  depth: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  signal?.throwIfAborted()
  const what = shown === '' ? 'the manifest directory' : `directory ${shown}`
  if (depth > maxDirectoryDepth) return void walk.problems.push(`${what} is more than ${maxDirectoryDepth} levels deep and is not read`)
  try {
    const real = await follow(walk, path)
    if (walk.visited.has(real)) return
    walk.visited.add(real)
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
  const isLink = entry.isSymbolicLink()
  if (entry.isDirectory() || (isLink && (await isDirectoryLink(walk, inner, innerShown)))) {
    return walkDirectory(walk, inner, innerShown, depth + 1, signal)
  }
  if (!isManifestName(entry.name)) return
  if (walk.files.length >= maxFiles) return void (walk.problems.includes(tooMany) || walk.problems.push(tooMany))
  walk.files.push({ path: isLink ? await linkedFile(walk, inner) : inner, shown: innerShown })
}

const tooMany = `more than ${maxFiles} manifests; the rest is not read`

function isManifestName(name: string): boolean {
  return /\.ya?ml$/.test(name) && !/^[.#~]/.test(name)
}

async function isDirectoryLink(walk: Walk, path: string, shown: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory()
  } catch (error) {
    // Behind a link that leads nowhere there may have been a directory of manifests.
    if (!isManifestName(shown)) walk.problems.push(`link ${shown} cannot be followed (${codeOf(error)})`)
    return false
  }
}

/** The link itself where it leads nowhere: whoever opens it says so. */
async function linkedFile(walk: Walk, path: string): Promise<string> {
  try {
    return await follow(walk, path)
  } catch {
    return path
  }
}

export function codeOf(error: unknown): string {
  const { code, message } = error as { code?: string; message?: string }
  return code ?? message ?? 'unknown'
}
