import { constants } from 'node:fs'
import type { DirectoryEntry, OpenFile, SourceFiles } from './source-files.ts'

/** Gives up on a file that is replaced on each attempt. */
const mostOpenings = 5

/**
 * Opens exactly the file that a path names. A directory on the way may become a symlink before the call opens it, so the descriptor is checked
 * afterwards. `flags` must not follow a symlink in the last component.
 */
export async function opened(files: SourceFiles, path: string, flags: number): Promise<OpenFile> {
  for (let attempt = 1; attempt <= mostOpenings; attempt += 1) {
    const file = await files.open(path, flags)
    if (isItself(files, file.fd, path)) return file
    await file.close()
  }
  throw changed()
}

export function openedSync(files: SourceFiles, path: string, flags: number): number {
  for (let attempt = 1; attempt <= mostOpenings; attempt += 1) {
    const file = files.openSync(path, flags)
    if (isItself(files, file, path)) return file
    files.closeSync(file)
  }
  throw changed()
}

/** The entries of a directory whose `path` contains no symlinks. */
export async function entriesOf(files: SourceFiles, path: string): Promise<readonly DirectoryEntry[]> {
  const directory = await opened(files, path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW)
  try {
    return await files.readdir(placeOf(files, directory.fd) === undefined ? path : `/proc/self/fd/${directory.fd}`)
  } finally {
    await directory.close()
  }
}

/** A file that was replaced while it was opened has another path as well, and is opened again. */
function isItself(files: SourceFiles, fd: number, path: string): boolean {
  const place = placeOf(files, fd)
  if (place !== undefined) return place === path
  // Without /proc, on an operator's own machine, a link that appears only briefly is not detected.
  const [found, now] = [files.fstatSync(fd), files.statSync(path)]
  return now !== undefined && found.ino === now.ino && found.dev === now.dev && files.realpathSync(path) === path
}

/** The path of an open file in the kernel. Undefined if the kernel does not report it. */
function placeOf(files: SourceFiles, fd: number): string | undefined {
  try {
    return files.readlinkSync(`/proc/self/fd/${fd}`)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

function changed(): Error {
  return new Error('it changed while it was opened')
}
