import { dirname, isAbsolute, join, relative, resolve } from 'node:path'
import { linkInto, namesIn } from './links.ts'
import { entriesOf } from './opened.ts'
import { worktreeCommit } from './revision.ts'
import type { SourceFiles } from './source-files.ts'

/** A name in a manifest directory leads to what is not in it. The message says nothing of what lies there, not even whether it exists. */
const leadsOut = 'it leads out of the manifest directory'

/** As the kernel's own, see path_resolution(7). */
const mostLinks = 40

/** Both lead through no link. */
export interface ManifestRoot {
  /** Nothing outside it is opened: the worktree of git-sync, else the directory itself. */
  readonly boundary: string
  /** Where the manifests are; undefined where git-sync's worktree has no such directory. */
  readonly directory: string | undefined
  /** Its path in the worktree; empty where it is all of it, or none. */
  readonly below: string
}

/**
 * Links on the way to the worktree of git-sync, or to the directory, are the operator's own and may lead anywhere. Those in the worktree come from
 * the repository: they must stay in it. Throws where the worktree or the directory cannot be read, and where the directory leads out of the worktree.
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

/** Only a directory that can be read says that a name is not in it. A link that leads nowhere is there. */
async function isListed(files: SourceFiles, boundary: string, names: readonly string[]): Promise<boolean> {
  let at = boundary
  for (const name of names) {
    if (name !== '..' && !(await entriesOf(files, at)).some((entry) => entry.name === name)) return false
    at = await resolveInside(files, boundary, join(at, name))
  }
  return true
}

/**
 * Where a path below the boundary leads, link by link; nothing outside is looked at on the way. Throws `leadsOut`, and what the system says of a
 * name that does not exist. Git's own directory counts as outside: it may hold the repository's credentials.
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
