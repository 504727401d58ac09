import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import type { DiskClaims } from '../../ports/disk-claims.ts'
import { StateError } from '../../ports/state-files.ts'
import { writeLock } from './image-lock.ts'
import { type Libc, SystemError } from './libc.ts'

// fcntl(2), asm-generic/fcntl.h and linux/fcntl.h.
const fOfdSetlk = 37
const fSetsig = 10
const fSetlease = 1024
const fWrlck = 1
const fUnlck = 2
/** Node and the kernel ignore it by default. A lease would otherwise announce an opener with SIGIO, which ends a program. */
const sigurg = 23

/** The lock belongs to the open file: it goes with the last descriptor, also when the program is killed. */
export function diskClaims(libc: Libc): DiskClaims {
  return {
    async claim(path) {
      const file = await openToClaim(path)
      if (file === undefined) return { kind: 'claimed', release: () => Promise.resolve() }
      if (file === 'held') return { kind: 'inUse' }
      try {
        if (!(await file.stat()).isFile() || (takeLock(libc, file.fd) && isOnlyOpener(libc, file.fd)))
          return { kind: 'claimed', release: () => file.close() }
      } catch (cause) {
        await file.close()
        throw new StateError('Io', `${path}: ${(cause as Error).message}`, { cause })
      }
      await file.close()
      return { kind: 'inUse' }
    },
  }
}

/** For writing, since only who may write can have a write lock. Undefined where there is no file that could be a disk. */
async function openToClaim(path: string): Promise<FileHandle | 'held' | undefined> {
  try {
    return await open(path, constants.O_RDWR | constants.O_NONBLOCK | constants.O_NOFOLLOW)
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    // Missing, a symbolic link, a directory, a socket: no disk that a QEMU of ours has open under this name.
    if (code === 'ENOENT' || code === 'ELOOP' || code === 'EISDIR' || code === 'ENXIO') return undefined
    // Its owner holds a lease on it, and O_NONBLOCK does not wait for that.
    if (code === 'EAGAIN') return 'held'
    throw new StateError('Io', message, { cause })
  }
}

function takeLock(libc: Libc, fd: number): boolean {
  try {
    libc.fcntl(fd, fOfdSetlk, writeLock())
    return true
  } catch (error) {
    if (error instanceof SystemError && (error.code === 'EAGAIN' || error.code === 'EACCES')) return false
    throw error
  }
}

/**
 * The kernel gives a write lease only where no other process has the file open, so a process that gave up its locks is seen as well. The lease
 * ends at once: held, it would keep an opener waiting until the disk has changed under it, while the lock makes a QEMU fail and try again.
 */
function isOnlyOpener(libc: Libc, fd: number): boolean {
  libc.fcntlValue(fd, fSetsig, sigurg)
  try {
    libc.fcntlValue(fd, fSetlease, fWrlck)
    libc.fcntlValue(fd, fSetlease, fUnlck)
    return true
  } catch (error) {
    if (!(error instanceof SystemError)) throw error
    // Only a file's owner may ask, and not every file system answers. Then the lock alone counts.
    if (error.code === 'EACCES' || error.code === 'EINVAL') return true
    if (error.code === 'EAGAIN') return false
    throw error
  }
}
