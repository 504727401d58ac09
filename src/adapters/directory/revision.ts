import { basename, join } from 'node:path'
import { gitHead } from './git-head.ts'
import { linksOn, linkTarget } from './links.ts'
import type { SourceFiles } from './source-files.ts'

/** git-sync v4 names a worktree by its commit, `.worktrees/HASH`; v3 did so too, or with `rev-` before it. */
const worktreeName = /^(?:rev-)?([0-9a-f]{40}|[0-9a-f]{64})$/
/** What fits a column and a log line. */
const plainName = /^[\w.@+:-]{1,100}$/

/**
 * What a directory stands at, for people, the first of these that there is: the commit that a link of git-sync names, on the way to the
 * directory or in it; the target of a ConfigMap's `..data`; the HEAD of the git checkout it lies in; the target of the link that it is.
 * Undefined where none is certain.
 */
export async function revisionOf(files: SourceFiles, directory: string): Promise<string | undefined> {
  // All at once: each is several questions, and an edit waits for the answers.
  const [links, data, inside, head] = await Promise.all([
    linksOn(files, directory),
    linkTarget(files, join(directory, '..data')),
    commitInside(files, directory),
    gitHead(files, directory),
  ])
  const commits = links.flatMap(({ target }) => commitIn(target))
  return (
    commits.at(-1) ??
    plain(data) ??
    inside ??
    head ??
    // Not that of a link further up, which names a place and no version.
    plain(links.find(({ path }) => path === directory)?.target)
  )
}

/** The commit that a link of git-sync with this target names. */
export function worktreeCommit(target: string): string | undefined {
  return worktreeName.exec(basename(target))?.[1]
}

function commitIn(target: string): readonly string[] {
  const commit = worktreeCommit(target)
  return commit === undefined ? [] : [commit]
}

/** Where the directory is the root of git-sync and not its link. With links to several commits nobody can say which one is meant. */
async function commitInside(files: SourceFiles, directory: string): Promise<string | undefined> {
  const targets = await Promise.all((await linkNames(files, directory)).map((name) => linkTarget(files, join(directory, name))))
  const commits = new Set(targets.flatMap((target) => (target === undefined ? [] : commitIn(target))))
  return commits.size === 1 ? [...commits][0] : undefined
}

/** Enough for whatever lies beside the link of git-sync; a directory full of links is something else. */
const mostLinks = 20

async function linkNames(files: SourceFiles, directory: string): Promise<readonly string[]> {
  try {
    const links = (await files.readdir(directory)).filter((entry) => entry.isSymbolicLink())
    return links.length > mostLinks ? [] : links.map((entry) => entry.name)
  } catch {
    // Who reads the directory says so.
    return []
  }
}

function plain(target: string | undefined): string | undefined {
  const name = target === undefined ? '' : basename(target)
  return plainName.test(name) && !/^\.*$/.test(name) ? name : undefined
}
