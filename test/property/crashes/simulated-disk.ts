import { dirname } from 'node:path'

export interface Inode {
  readonly kind: 'file' | 'directory'
  /** One character a byte. */
  content: string
  mode: number
  modifiedMs: number
  /** A power loss empties what is not. */
  synced: boolean
}

interface Unsynced {
  readonly directories: readonly string[]
  readonly undo: () => void
}

/** A file system in memory: names, hard links, modes, and what is on disk when the power fails. */
export class SimulatedDisk {
  readonly names = new Map<string, Inode>()
  #unsynced: Unsynced[] = []
  #temporaries = 0

  constructor(root: string) {
    this.names.set(root, { kind: 'directory', content: '', mode: 0o751, modifiedMs: 0, synced: true })
  }

  /** As something else wrote it, long ago. */
  put(path: string, content: string, mode = 0o640): void {
    this.names.set(path, { kind: 'file', content, mode, modifiedMs: 0, synced: true })
  }

  putDirectory(path: string, mode: number): void {
    this.names.set(path, { kind: 'directory', content: '', mode, modifiedMs: 0, synced: true })
  }

  content(path: string): string | undefined {
    return this.names.get(path)?.content
  }

  /** Sorted; undefined where there is no such directory. */
  list(path: string): string[] | undefined {
    if (this.names.get(path)?.kind !== 'directory') return undefined
    return [...this.names.keys()]
      .filter((name) => dirname(name) === path && name !== path)
      .map((name) => name.slice(path.length + 1))
      .sort()
  }

  set(path: string, inode: Inode | undefined): void {
    const before = this.names.get(path)
    this.#unsynced.push({ directories: [dirname(path)], undo: () => this.#restore(path, before) })
    this.#restore(path, inode)
  }

  /** One transaction of the file system's journal, also from one directory to another. */
  rename(from: string, to: string): void {
    const [inode, before] = [this.names.get(from), this.names.get(to)]
    const undo = (): void => {
      this.#restore(to, before)
      this.#restore(from, inode)
    }
    this.#unsynced.push({ directories: [dirname(from), dirname(to)], undo })
    this.#restore(to, inode)
    this.#restore(from, undefined)
  }

  /** Names in this directory are on disk. */
  sync(directory: string): void {
    this.#unsynced = this.#unsynced.filter((one) => !one.directories.includes(directory))
  }

  losePower(): void {
    for (const { undo } of this.#unsynced.toReversed()) undo()
    this.#unsynced = []
    for (const inode of this.names.values()) if (!inode.synced) inode.content = ''
  }

  /** After a program was killed, the kernel still writes its pending data. */
  settle(): void {
    this.#unsynced = []
  }

  /** The current state. Hard links stay hard links. */
  copyTo(other: SimulatedDisk): void {
    const copies = new Map<Inode, Inode>()
    other.names.clear()
    for (const [path, inode] of this.names) {
      const copy = copies.get(inode) ?? { ...inode }
      copies.set(inode, copy)
      other.names.set(path, copy)
    }
    other.#temporaries = this.#temporaries
    other.#unsynced = []
  }

  temporary(path: string): string {
    this.#temporaries += 1
    return `${path}.tmp-${String(this.#temporaries).padStart(12, '0')}`
  }

  #restore(path: string, inode: Inode | undefined): void {
    if (inode === undefined) this.names.delete(path)
    else this.names.set(path, inode)
  }
}
