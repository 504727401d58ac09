import { type FileFact, StateError, type StateFiles } from '../../../src/ports/state-files.ts'
import { diskTotals, type Inode, type MemoryDisk } from './memory-disk.ts'
import type { Process } from './process.ts'
import { qcow2Header } from './qcow2.ts'
import type { Steps } from './steps.ts'

/** The files of a node as one agent sees them; every method is a step of it. */
export function memoryFiles(disk: MemoryDisk, process: Process, steps: Steps): StateFiles {
  const read = <T>(path: string, run: () => T): Promise<T> => steps.take(process, path, false, run)
  const write = <T>(path: string, run: () => T): Promise<T> =>
    steps.take(process, path, true, () => {
      if (disk.full) throw new StateError('NoSpace', `no space is left for ${path}`)
      return run()
    })
  const need = (path: string): Inode => {
    const found = disk.at(path)
    if (found === undefined) throw new StateError('Io', `ENOENT: no such file or directory, ${path}`)
    return found
  }
  return {
    stat: (path) => read(path, () => factOf(disk.at(path))),
    list: (path, maxNames) => read(path, () => disk.list(path)?.slice(0, maxNames ?? Number.POSITIVE_INFINITY)),
    readText: (path) => read(path, () => disk.at(path)?.text),
    readStart: (path) => read(path, () => (disk.at(path)?.image === undefined ? undefined : qcow2Header(disk.at(path)?.image))),
    writeAtomically: (path, text, mode) =>
      write(path, () => {
        need(path.slice(0, path.lastIndexOf('/')))
        disk.put(path, { text, mode }, process)
      }),
    makeDirectory: (path) => write(path, () => disk.makeDirectory(path)),
    publish: (from, path, mode) =>
      steps.take(process, path, true, () => {
        need(from).mode = mode
        const isThere = disk.at(path) !== undefined
        if (!isThere) disk.link(from, path, process)
        disk.remove(from, process)
        return isThere ? 'exists' : 'published'
      }),
    seal: (path, mode) => steps.take(process, path, true, () => void (need(path).mode = mode)),
    replace: (from, path) =>
      steps.take(process, path, true, () => {
        need(from)
        disk.rename(from, path, process)
      }),
    link: (from, path) =>
      write(path, () => {
        need(from)
        if (disk.at(path) === undefined) disk.link(from, path, process)
      }),
    remove: (path) => steps.take(process, path, true, () => disk.remove(path, process)),
    removeEmptyDirectory: (path) =>
      steps.take(process, path, true, () => void (disk.list(path)?.length === 0 && disk.remove(path, process))),
    space: (path) => read(path, () => ({ ...diskTotals, freeBytes: disk.freeBytes() })),
  }
}

function factOf(inode: Inode | undefined): FileFact | undefined {
  if (inode === undefined) return undefined
  const sizeBytes = inode.image === undefined ? inode.text.length : 2 ** 20
  const version = `${inode.number}/${inode.modifiedMs}`
  return { kind: inode.kind, sizeBytes, allocatedBytes: sizeBytes, modifiedMs: inode.modifiedMs, version }
}
