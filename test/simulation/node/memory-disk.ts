import type { Process } from './process.ts'

/** The metadata of a qcow2 file. */
export interface ImageContent {
  /** Relative to the file; undefined for one that stands alone. */
  readonly backing: string | undefined
  readonly virtualSizeBytes: number
  /** The hash of the bytes of a complete image. */
  readonly sha256: string
}

/** One file: several names may link to it, and a process that has it open keeps it. */
export interface Inode {
  readonly number: number
  readonly kind: 'file' | 'directory' | 'socket'
  text: string
  image: ImageContent | undefined
  mode: number
  modifiedMs: number
  names: number
  /** The lock of QEMU, or of a program that takes it instead. */
  lockedBy: Process | undefined
}

/** ReportedConditions of names that came and went below the state root; `by` is undefined where a person did it. */
export interface DiskObserver {
  named(path: string, inode: Inode, before: Inode | undefined, by: Process | undefined): void
  /** Just before it goes. */
  unnaming(path: string, inode: Inode, by: Process | undefined): void
}

const gib = 1024 ** 3
export const diskTotals = { totalBytes: 100 * gib, freeBytes: 50 * gib } as const

/** The file system of one node. It outlives every program and every loss of power. */
export class MemoryDisk {
  readonly #onFull = new Set<() => void>()
  readonly #names = new Map<string, Inode>()
  readonly #now: () => number
  readonly #observer: DiskObserver
  #last = 0
  #full = false

  constructor(now: () => number, observer: DiskObserver) {
    this.#now = now
    this.#observer = observer
  }

  get full(): boolean {
    return this.#full
  }

  set full(isFull: boolean) {
    this.#full = isFull
    if (isFull) for (const tell of this.#onFull) tell()
  }

  /** Returns what ends it. */
  onFull(tell: () => void): () => void {
    this.#onFull.add(tell)
    return () => void this.#onFull.delete(tell)
  }

  freeBytes(): number {
    return this.full ? 0 : diskTotals.freeBytes
  }

  at(path: string): Inode | undefined {
    return this.#names.get(path)
  }

  /** Sorted; undefined where there is no such directory. */
  list(path: string): string[] | undefined {
    if (this.at(path)?.kind !== 'directory') return undefined
    const prefix = `${path}/`
    const names: string[] = []
    for (const each of this.#names.keys())
      if (each.startsWith(prefix) && !each.includes('/', prefix.length)) names.push(each.slice(prefix.length))
    return names.toSorted()
  }

  below(path: string): string[] {
    return [...this.#names.keys()].filter((each) => each.startsWith(`${path}/`))
  }

  /** Replaces what is there with another file. */
  put(path: string, content: Partial<Pick<Inode, 'kind' | 'text' | 'image' | 'mode' | 'modifiedMs'>>, by?: Process): Inode {
    this.#last += 1
    const made: Inode = {
      number: this.#last,
      kind: 'file',
      text: '',
      image: undefined,
      mode: 0o640,
      names: 0,
      lockedBy: undefined,
      modifiedMs: this.#now(),
      ...content,
    }
    this.#name(path, made, by)
    return made
  }

  makeDirectory(path: string): void {
    if (this.at(path) === undefined) this.put(path, { kind: 'directory', mode: 0o2750 })
  }

  link(from: string, path: string, by?: Process): void {
    this.#name(path, this.#need(from), by)
  }

  rename(from: string, path: string, by?: Process): void {
    this.#name(path, this.#need(from), by)
    this.remove(from, by)
  }

  remove(path: string, by?: Process): void {
    const inode = this.at(path)
    if (inode === undefined) return
    this.#observer.unnaming(path, inode, by)
    this.#names.delete(path)
    inode.names -= 1
  }

  /** `rm -rf`, by a person. */
  removeTree(path: string): void {
    for (const each of this.below(path).toSorted((a, b) => b.length - a.length)) this.remove(each)
    this.remove(path)
  }

  #name(path: string, inode: Inode, by: Process | undefined): void {
    const before = this.at(path)
    this.#names.set(path, inode)
    inode.names += 1
    if (before !== undefined) before.names -= 1
    this.#observer.named(path, inode, before, by)
  }

  #need(path: string): Inode {
    const found = this.at(path)
    if (found === undefined) throw new Error(`ENOENT: no such file, ${path}`)
    return found
  }
}
