import { constants } from 'node:fs'
import { type FileHandle, open, opendir, stat } from 'node:fs/promises'
import type { Layout } from '../../api/layout.ts'
import type { VmUid } from '../../api/names.ts'
import type { DiskLocks } from '../../ports/host-network.ts'
import { type Libc, pinned } from './libc.ts'

const fOfdGetlk = 36
const fWrlck = 1
const fUnlck = 2
/** QEMU's block/file-posix.c: RAW_LOCK_PERM_BASE is 100 and RAW_LOCK_SHARED_BASE 200, one byte per permission bit of 64. */
const firstLockByte = 100
const lockBytes = 200 + 64 - 100
/** Sixteen disks plus files of an operator. The limit matters since a runner can fill its directory, and the broker has little memory. */
const maxNames = 256

export function imageLocks(libc: Libc, layout: Layout): DiskLocks {
  return {
    async locked(uid) {
      const directory = layout.disks(uid)
      const names = await diskNames(layout, uid)
      if (typeof names === 'string') return names
      for (const name of names) {
        const why = await lockedFile(libc, `${directory}/${name}`)
        if (why !== undefined) return `disk ${name}: ${why}`
      }
      return undefined
    },
  }
}

/** Unreadable disks may be in use. Only a missing directory proves that there is no disk, and only if the state root itself exists. */
async function diskNames(layout: Layout, uid: VmUid): Promise<string[] | string> {
  try {
    const names: string[] = []
    for await (const { name } of await opendir(layout.disks(uid))) {
      if (names.length === maxNames)
        return `its directory holds more than ${maxNames} files, so the disks cannot be checked; remove the files that are not disks`
      names.push(name)
    }
    return names.filter((name) => name.endsWith('.qcow2'))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return await noDisks(layout)
    return `the disks cannot be checked: ${(error as Error).message}`
  }
}

async function noDisks({ instances }: Layout): Promise<string[] | string> {
  const isThere = await stat(instances).then(
    (stats) => stats.isDirectory(),
    () => false,
  )
  return isThere ? [] : `the disks cannot be checked: ${instances} is missing; mount the state root of this node`
}

/** The check takes no lock. The open does not block on a FIFO and follows no symlink that a guest may have left. */
async function lockedFile(libc: Libc, path: string): Promise<string | undefined> {
  let file: FileHandle
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    // A symlink, a socket or a removed file is not a disk that QEMU has open under this name.
    return code === 'ENOENT' || code === 'ELOOP' || code === 'ENXIO' ? undefined : `cannot be checked: ${message}`
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

/** struct flock, 64-bit: type, whence, start, length, pid (fcntl(2)), over all bytes that a QEMU locks. */
export function writeLock(): Buffer {
  const lock = pinned(32)
  lock.writeInt16LE(fWrlck, 0)
  lock.writeBigInt64LE(BigInt(firstLockByte), 8)
  lock.writeBigInt64LE(BigInt(lockBytes), 16)
  return lock
}
