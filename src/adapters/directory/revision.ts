import { basename, join } from 'node:path'
import { gitHead } from './git-head.ts'
import { linksOn, linkTarget } from './links.ts'
import type { SourceFiles } from './source-files.ts'

/** git-sync v4 names a worktree by its commit, `.worktrees/HASH`. v3 did the same, or added `rev-` before it. */
const worktreeName = /^(?:rev-)?([0-9a-f]{40}|[0-9a-f]{64})$/
/** Fits into a column and a log line. */
const plainName = /^[\w.@+:-]{1,100}$/

/**
 * The revision of a directory, for people. The first one of: the commit in a git-sync link on the way to the directory or in it, the target of a
 * ConfigMap's `..data`, the HEAD of the git checkout, the target of the directory's own link. Undefined if none is certain.
 */
export async function revisionOf(files: SourceFiles, directory: string): Promise<string | undefined> {
  // Runs in parallel: each needs several calls, and an edit waits for the answers.
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
    // Not a link further up, which names a place and not a version.
    plain(links.find(({ path }) => path === directory)?.target)
  )
}

/** The commit in the target of a git-sync link. */
export function worktreeCommit(target: string): string | undefined {
  return worktreeName.exec(basename(target))?.[1]
}

function commitIn(target: string): readonly string[] {
  const commit = worktreeCommit(target)
  return commit === undefined ? [] : [commit]
}

/** For a directory that is the root of git-sync instead of its link. Links to several commits are ambiguous. */
async function commitInside(files: SourceFiles, directory: string): Promise<string | undefined> {
  const targets = await Promise.all((await linkNames(files, directory)).map((name) => linkTarget(files, join(directory, name))))
  const commits = new Set(targets.flatMap((target) => (target === undefined ? [] : commitIn(target))))
  return commits.size === 1 ? [...commits][0] : undefined
}

/** Limits the number of checked links beside the link of git-sync. */
const mostLinks = 20

async function linkNames(files: SourceFiles, directory: string): Promise<readonly string[]> {
  try {
    const links = (await files.readdir(directory)).filter((entry) => entry.isSymbolicLink())
    return links.length > mostLinks ? [] : links.map((entry) => entry.name)
  } catch {
    // The read of the directory reports the error.
    return []
  }
}

function plain(target: string | undefined): string | undefined {
  const name = target === undefined ? '' : basename(target)
  return plainName.test(name) && !/^\.*$/.test(name) ? name : undefined
}
