import { constants } from 'node:fs'
import { type FileHandle, open, opendir } from 'node:fs/promises'
import type { Layout } from '../../api/layout.ts'
import type { DiskClaims } from '../../ports/disk-claims.ts'
import type { DiskLocks } from '../../ports/host-network.ts'
import { StateError } from '../../ports/state-files.ts'
import { type Libc, pinned, SystemError } from './libc.ts'

const fOfdGetlk = 36
const fOfdSetlk = 37
const fWrlck = 1
const fUnlck = 2
/** QEMU's block/file-posix.c: RAW_LOCK_PERM_BASE is 100 and RAW_LOCK_SHARED_BASE 200, one byte per permission bit of 64. */
const firstLockByte = 100
const lockBytes = 200 + 64 - 100
/** Sixteen disks and what an operator may have put beside them. A runner can fill its directory, and the broker has little memory. */
const maxNames = 256

export function imageLocks(libc: Libc, layout: Layout): DiskLocks {
  return {
    async locked(uid) {
      const directory = layout.disks(uid)
      const names = await diskNames(directory)
      if (typeof names === 'string') return names
      for (const name of names) {
        const why = await lockedFile(libc, `${directory}/${name}`)
        if (why !== undefined) return `disk ${name}: ${why}`
      }
      return undefined
    },
  }
}

/** What cannot be read may be in use: only a missing directory is certain to hold no disk. */
async function diskNames(directory: string): Promise<string[] | string> {
  try {
    const names: string[] = []
    for await (const { name } of await opendir(directory)) {
      if (names.length === maxNames)
        return `its directory holds more than ${maxNames} files, so the disks are not looked at; remove what is not a disk`
      names.push(name)
    }
    return names.filter((name) => name.endsWith('.qcow2'))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    return `the disks cannot be looked at: ${(error as Error).message}`
  }
}

/** Asking takes no lock, and opening neither waits for a FIFO nor follows a link that a guest may have left there. */
async function lockedFile(libc: Libc, path: string): Promise<string | undefined> {
  let file: FileHandle
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    // A link, a socket or a removed file is no disk that a QEMU of ours has open under this name.
    return code === 'ENOENT' || code === 'ELOOP' || code === 'ENXIO' ? undefined : `cannot be looked at: ${message}`
  }
  try {
    if (!(await file.stat()).isFile()) return undefined
    return hasLock(libc, file.fd) ? 'a QEMU has it open' : undefined
  } finally {
    await file.close()
  }
}

function hasLock(libc: Libc, fd: number): boolean {
  const lock = writeLock()
  libc.fcntl(fd, fOfdGetlk, lock)
  return lock.readInt16LE(0) !== fUnlck
}

/** The lock is the open file's: it goes with the last descriptor, also when the program is killed. */
export function imageClaims(libc: Libc): DiskClaims {
  return {
    async claim(path) {
      const file = await openToClaim(path)
      if (file === undefined) return { kind: 'claimed', release: () => Promise.resolve() }
      if (takeLock(libc, file.fd)) return { kind: 'claimed', release: () => file.close() }
      await file.close()
      return { kind: 'inUse' }
    },
  }
}

/** For writing, since only who may write can have a write lock; undefined where there is no file. */
async function openToClaim(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, constants.O_RDWR | constants.O_NONBLOCK | constants.O_NOFOLLOW)
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT') return undefined
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

/** struct flock, 64-bit: type, whence, start, length, pid (fcntl(2)), over all bytes that a QEMU locks. */
function writeLock(): Buffer {
  const lock = pinned(32)
  lock.writeInt16LE(fWrlck, 0)
  lock.writeBigInt64LE(BigInt(firstLockByte), 8)
  lock.writeBigInt64LE(BigInt(lockBytes), 16)
  return lock
}
