import { dirname, isAbsolute, join, relative, resolve } from 'node:path'
import { linkInto, namesIn } from './links.ts'
import { entriesOf } from './opened.ts'
import { worktreeCommit } from './revision.ts'
import type { SourceFiles } from './source-files.ts'

/** A path leads out of the manifest directory. The message reveals nothing about the target, not even whether it exists. */
const leadsOut = 'it leads out of the manifest directory'

/** The kernel's limit, see path_resolution(7). */
const mostLinks = 40

/** Both paths contain no symlinks. */
export interface ManifestRoot {
  /** Nothing outside is opened. This is the worktree of git-sync, or else the directory itself. */
  readonly boundary: string
  /** The directory of the manifests. Undefined if git-sync's worktree does not have it. */
  readonly directory: string | undefined
  /** Its path in the worktree. Empty if it is the whole worktree, or if there is none. */
  readonly below: string
}

/**
 * Resolves the manifest directory. Links on the way to it belong to the operator and may lead anywhere. Links in the worktree come from the
 * repository and must stay inside. Throws if the worktree or directory cannot be read, or if the directory leads out of the worktree.
 */
export async function manifestRoot(files: SourceFiles, path: string): Promise<ManifestRoot> {
  const swap = await linkInto(files, path, (target) => worktreeCommit(target) !== undefined)
  if (swap === undefined) {
    const directory = await files.realpath(path)
    return { boundary: directory, directory, below: '' }
  }
  const boundary = await files.realpath(swap.link)
  const isThere = await isListed(files, boundary, swap.rest)
  const below = swap.rest.join('/')
  return { boundary, directory: isThere ? await resolveInside(files, boundary, join(boundary, below)) : undefined, below }
}

/** Only a readable directory proves that a name is missing. A dangling link exists. */
async function isListed(files: SourceFiles, boundary: string, names: readonly string[]): Promise<boolean> {
  let at = boundary
  for (const name of names) {
    if (name !== '..' && !(await entriesOf(files, at)).some((entry) => entry.name === name)) return false
    at = await resolveInside(files, boundary, join(at, name))
  }
  return true
}

/**
 * Resolves a path below the boundary, link by link, without touching anything outside. Throws `leadsOut`, or the system's error for a missing name.
 * Git's own directory counts as outside, since it may hold the repository's credentials.
 */
export async function resolveInside(files: SourceFiles, boundary: string, path: string): Promise<string> {
  let at = boundary
  let ahead = namesIn(relative(boundary, path))
  for (let name = ahead.shift(), links = 0; name !== undefined; name = ahead.shift()) {
    const next = name === '..' ? dirname(at) : join(at, name)
    if (!isInside(boundary, next)) throw new Error(leadsOut)
    const target = (await files.lstat(next)).isSymbolicLink() ? await files.readlink(next) : undefined
    if (target === undefined) {
      at = next
      continue
    }
    links += 1
    if (links > mostLinks) throw Object.assign(new Error('too many links'), { code: 'ELOOP' })
    if (isAbsolute(target)) {
      if (!isInside(boundary, resolve(target))) throw new Error(leadsOut)
      at = boundary
      ahead = [...namesIn(relative(boundary, target)), ...ahead]
    } else ahead = [...namesIn(target), ...ahead]
  }
  return at
}

function isInside(boundary: string, path: string): boolean {
  if (path === boundary) return true
  const below = relative(boundary, path).split('/')
  return below[0] !== '..' && !below.includes('.git')
}
