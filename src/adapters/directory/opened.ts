import { closeSync, constants, type Dirent, fstatSync, readlinkSync, realpathSync, statSync } from 'node:fs'
import { type FileHandle, open, readdir } from 'node:fs/promises'

/** A file that is replaced at every look is not read. */
const mostOpenings = 5

/**
 * What a path names itself. Between the look at a path and the call that opens it, a directory on the way may become a link: the descriptor says what
 * was opened. `open` must not follow a link in the last place.
 */
export async function opened(path: string, open: () => Promise<FileHandle>): Promise<FileHandle> {
  for (let attempt = 1; attempt <= mostOpenings; attempt += 1) {
    const file = await open()
    if (isItself(file.fd, path)) return file
    await file.close()
  }
  throw changed()
}

export function openedSync(path: string, open: () => number): number {
  for (let attempt = 1; attempt <= mostOpenings; attempt += 1) {
    const file = open()
    if (isItself(file, path)) return file
    closeSync(file)
  }
  throw changed()
}

/** The entries of a directory that `path` names itself. */
export async function entriesOf(path: string): Promise<readonly Dirent[]> {
  const directory = await opened(path, () => open(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW))
  try {
    return await readdir(placeOf(directory.fd) === undefined ? path : `/proc/self/fd/${directory.fd}`, { withFileTypes: true })
  } finally {
    await directory.close()
  }
}

/** A file that was renamed over while it was opened has another place, too, and is opened again. */
function isItself(fd: number, path: string): boolean {
  const place = placeOf(fd)
  if (place !== undefined) return place === path
  // Where there is no /proc, an operator's own machine, a link that comes and goes in between is not seen.
  const [found, now] = [fstatSync(fd), statSync(path, { throwIfNoEntry: false })]
  return now !== undefined && found.ino === now.ino && found.dev === now.dev && realpathSync(path) === path
}

/** Where the kernel says that an open file is; undefined where it has no such word. */
function placeOf(fd: number): string | undefined {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

function changed(): Error {
  return new Error('it changed while it was opened')
}
