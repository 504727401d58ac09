import { dirname, isAbsolute, join, resolve } from 'node:path'
import type { SourceFiles } from './source-files.ts'

export interface Link {
  readonly path: string
  readonly target: string
}

interface LinkOnTheWay extends Link {
  /** The remaining names of the path behind the link. */
  readonly rest: readonly string[]
}

/** The kernel's limit, see path_resolution(7). */
const mostLinks = 40

/** Every symlink on the way to the target of `path`, in order. Ends at a missing file or a loop. */
export async function linksOn(files: SourceFiles, path: string): Promise<readonly Link[]> {
  const links: Link[] = []
  for await (const { path: at, target } of linksTo(files, path)) links.push({ path: at, target })
  return links
}

/** The first link on the way that `meant` accepts, and the rest of the path behind it. */
export async function linkInto(
  files: SourceFiles,
  path: string,
  isMeant: (target: string) => boolean,
): Promise<{ readonly link: string; readonly rest: readonly string[] } | undefined> {
  for await (const { path: link, target, rest } of linksTo(files, path)) if (isMeant(target)) return { link, rest }
  return undefined
}

async function* linksTo(files: SourceFiles, path: string): AsyncGenerator<LinkOnTheWay> {
  let at = '/'
  let ahead = namesIn(resolve(path))
  let links = 0
  for (let name = ahead.shift(); name !== undefined && links < mostLinks; name = ahead.shift()) {
    const next = name === '..' ? dirname(at) : join(at, name)
    const target = await linkTarget(files, next)
    if (target === undefined) at = next
    else {
      yield { path: next, target, rest: ahead }
      links += 1
      if (isAbsolute(target)) at = '/'
      ahead = [...namesIn(target), ...ahead]
    }
  }
}

export function namesIn(path: string): string[] {
  return path.split('/').filter((name) => name !== '' && name !== '.')
}

/** Undefined if there is no link: another file type, nothing, or no permission. */
export async function linkTarget(files: SourceFiles, path: string): Promise<string | undefined> {
  try {
    return await files.readlink(path)
  } catch {
    return undefined
  }
}

/** The target of a path after all its links. Undefined if it does not exist. */
export async function whereTo(files: SourceFiles, path: string): Promise<string | undefined> {
  try {
    return await files.realpath(path)
  } catch {
    return undefined
  }
}
