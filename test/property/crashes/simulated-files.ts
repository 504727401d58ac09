import { dirname } from 'node:path'
import type { Clock } from '../../../src/ports/clock.ts'
import { type FileFact, StateError, type StateFiles } from '../../../src/ports/state-files.ts'
import type { Life } from './life.ts'
import type { Inode, SimulatedDisk } from './simulated-disk.ts'

/**
 * StateFiles of one run of an agent, in the steps of src/adapters/node/state-files.ts. A step is one system call that changes something; the run can end
 * between any two. New content is refused where another uid can write: nothing of ours may be made there.
 */
export function simulatedFiles(disk: SimulatedDisk, life: Life, clock: Pick<Clock, 'now'>): StateFiles {
  const find = (path: string): Inode | undefined => {
    life.mustLive()
    return disk.names.get(path)
  }
  const must = (path: string): Inode => {
    const inode = find(path)
    if (inode === undefined) throw new StateError('Io', `ENOENT: no such file or directory, '${path}'`)
    return inode
  }
  const file = (path: string): Inode | undefined => {
    const inode = find(path)
    if (inode !== undefined && inode.kind !== 'file') throw new StateError('Io', `${path}: it is not a regular file`)
    return inode
  }
  const set = (path: string, inode: Inode | undefined): void => {
    must(dirname(path))
    life.step()
    disk.set(path, inode)
  }
  const sync = (path: string): void => {
    life.step()
    disk.sync(dirname(path))
  }
  const seal = (path: string, mode: number): void => {
    mustBeOwn(disk, path)
    const inode = must(path)
    life.step()
    inode.mode = mode
    inode.synced = true
  }
  return {
    stat: async (path) => {
      const inode = find(path)
      return inode && factOf(inode)
    },
    list: async (path, maxNames) => {
      life.mustLive()
      return disk.list(path)?.slice(0, maxNames)
    },
    readText: async (path) => file(path)?.content,
    readStart: async (path, bytes) => {
      const inode = file(path)
      return inode && Buffer.from(inode.content.slice(0, bytes), 'latin1')
    },
    async writeAtomically(path, text, mode) {
      mustBeOwn(disk, path)
      const temporary = disk.temporary(path)
      const inode: Inode = { kind: 'file', content: '', mode, modifiedMs: clock.now(), synced: false }
      set(temporary, inode)
      life.step()
      inode.content = text
      life.step()
      inode.synced = true
      life.step()
      if (disk.names.get(path)?.kind === 'directory') {
        disk.set(temporary, undefined)
        throw new StateError('Io', `EISDIR: '${path}'`)
      }
      disk.rename(temporary, path)
      sync(path)
    },
    async makeDirectory(path, mode) {
      const inode = find(path)
      if (inode === undefined) {
        set(path, { kind: 'directory', content: '', mode, modifiedMs: clock.now(), synced: true })
        return sync(path)
      }
      if (inode.kind !== 'directory') throw new StateError('Io', `ENOTDIR: '${path}'`)
      if (inode.mode === mode) return
      life.step()
      inode.mode = mode
    },
    async publish(from, path, mode) {
      seal(from, mode)
      const isTaken = find(path) !== undefined
      if (!isTaken) set(path, must(from))
      sync(path)
      set(from, undefined)
      return isTaken ? 'exists' : 'published'
    },
    async seal(path, mode) {
      seal(path, mode)
      sync(path)
    },
    async replace(from, path) {
      mustBeOwn(disk, from)
      must(from)
      if (find(path)?.kind === 'directory') throw new StateError('Io', `EISDIR: '${path}'`)
      life.step()
      disk.rename(from, path)
      sync(path)
    },
    async link(from, path) {
      if (find(path) === undefined) set(path, must(from))
      sync(path)
    },
    async remove(path) {
      const inode = find(path)
      if (inode === undefined) return
      if (inode.kind === 'directory') throw new StateError('Io', `EISDIR: '${path}'`)
      set(path, undefined)
      sync(path)
    },
    async removeEmptyDirectory(path) {
      if (find(path) === undefined || (disk.list(path) ?? []).length > 0) return
      set(path, undefined)
      sync(path)
    },
    space: async () => {
      life.mustLive()
      return { totalBytes: 2 ** 40, freeBytes: 2 ** 39 }
    },
  }
}

/** Throws where somebody else than the agent can write in the directory of a path. */
export function mustBeOwn(disk: SimulatedDisk, path: string): void {
  if (((disk.names.get(dirname(path))?.mode ?? 0) & 0o022) !== 0) throw new Error(`${path} is made in a directory that others can write to`)
}

function factOf(inode: Inode): FileFact {
  const sizeBytes = inode.content.length
  return { kind: inode.kind, sizeBytes, allocatedBytes: sizeBytes, modifiedMs: inode.modifiedMs, version: inode.content }
}
