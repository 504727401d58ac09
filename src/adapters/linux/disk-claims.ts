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
/** Node and the kernel ignore this signal by default. A lease would otherwise notify with SIGIO, which ends a process. */
const sigurg = 23

/** The lock belongs to the open file. It ends with the last descriptor, also when the process is killed. */
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

/** Opens for writing, which a write lock requires. Undefined if the file cannot be a disk. */
async function openToClaim(path: string): Promise<FileHandle | 'held' | undefined> {
  try {
    return await open(path, constants.O_RDWR | constants.O_NONBLOCK | constants.O_NOFOLLOW)
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    // Missing, or a symlink, directory or socket: QEMU has no disk open under this name.
    if (code === 'ENOENT' || code === 'ELOOP' || code === 'EISDIR' || code === 'ENXIO') return undefined
    // Another process holds a lease on the file, and O_NONBLOCK does not wait for it.
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
 * The kernel grants a write lease only if no other process has the file open. This also detects a process that gave up its locks. The lease is
 * released at once: it would block an opener until the disk has changed, while the lock makes QEMU fail and retry.
 */
function isOnlyOpener(libc: Libc, fd: number): boolean {
  libc.fcntlValue(fd, fSetsig, sigurg)
  try {
    libc.fcntlValue(fd, fSetlease, fWrlck)
    libc.fcntlValue(fd, fSetlease, fUnlck)
    return true
  } catch (error) {
    if (!(error instanceof SystemError)) throw error
    // Only the file's owner may request a lease, and some file systems do not support it. Then the lock alone counts.
    if (error.code === 'EACCES' || error.code === 'EINVAL') return true
    if (error.code === 'EAGAIN') return false
    throw error
  }
}
