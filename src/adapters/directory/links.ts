import { dirname, isAbsolute, join, resolve } from 'node:path'
import type { SourceFiles } from './source-files.ts'

export interface Link {
  readonly path: string
  readonly target: string
}

interface LinkOnTheWay extends Link {
  /** The names of the path that are still to be looked up behind it. */
  readonly rest: readonly string[]
}

/** As the kernel's own, see path_resolution(7). */
const mostLinks = 40

/** Every link on the way to where `path` leads, in the order they are met. Ends where nothing is there or links lead in a circle. */
export async function linksOn(files: SourceFiles, path: string): Promise<readonly Link[]> {
  const links: Link[] = []
  for await (const { path: at, target } of linksTo(files, path)) links.push({ path: at, target })
  return links
}

/** The first link on the way whose target is meant, and what the path names behind it. */
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

/** Undefined where there is no link: another thing, nothing, or what may not be looked at. */
export async function linkTarget(files: SourceFiles, path: string): Promise<string | undefined> {
  try {
    return await files.readlink(path)
  } catch {
    return undefined
  }
}

/** Where a path leads through all its links; undefined where it leads nowhere. */
export async function whereTo(files: SourceFiles, path: string): Promise<string | undefined> {
  try {
    return await files.realpath(path)
  } catch {
    return undefined
  }
}
