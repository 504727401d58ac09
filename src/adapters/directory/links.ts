import { readlink, realpath } from 'node:fs/promises'
import { dirname, isAbsolute, join, resolve } from 'node:path'

export interface Link {
  readonly path: string
  readonly target: string
}

/** As the kernel's own, see path_resolution(7). */
const mostLinks = 40

/** Every link on the way to where `path` leads, in the order they are met. Ends where nothing is there or links lead in a circle. */
export async function linksOn(path: string): Promise<readonly Link[]> {
  const links: Link[] = []
  let at = '/'
  let ahead = namesIn(resolve(path))
  for (let name = ahead.shift(); name !== undefined && links.length < mostLinks; name = ahead.shift()) {
    const next = name === '..' ? dirname(at) : join(at, name)
    const target = await linkTarget(next)
    if (target === undefined) at = next
    else {
      links.push({ path: next, target })
      if (isAbsolute(target)) at = '/'
      ahead = [...namesIn(target), ...ahead]
    }
  }
  return links
}

function namesIn(path: string): string[] {
  return path.split('/').filter((name) => name !== '' && name !== '.')
}

/** Undefined where there is no link: another thing, nothing, or what may not be looked at. */
export async function linkTarget(path: string): Promise<string | undefined> {
  try {
    return await readlink(path)
  } catch {
    return undefined
  }
}

/** Where a path leads through all its links; undefined where it leads nowhere. */
export async function whereTo(path: string): Promise<string | undefined> {
  try {
    return await realpath(path)
  } catch {
    return undefined
  }
}
