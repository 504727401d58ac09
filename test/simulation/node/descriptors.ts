import type { Process } from './process.ts'

/** The object of a descriptor, which lives while something refers to it. */
export interface OpenFile {
  readonly kind: 'tap' | 'kvm'
  /** Set for the descriptor of a TAP. */
  readonly name: string
  readonly onLastClose: () => void
}

/** The descriptors of all programs of one node. Numbers are never used twice, so that a close of what was closed before is seen. */
export class Descriptors {
  readonly #open = new Map<number, { readonly file: OpenFile; readonly owner: Process }>()
  readonly #references = new Map<OpenFile, number>()
  readonly #onFault: (message: string) => void
  #last = 2

  constructor(onFault: (message: string) => void) {
    this.#onFault = onFault
  }

  /** The process's own descriptor of it. */
  install(owner: Process, file: OpenFile): number {
    this.hold(file)
    this.#last += 1
    this.#open.set(this.#last, { file, owner })
    return this.#last
  }

  fileOf(fd: number): OpenFile | undefined {
    return this.#open.get(fd)?.file
  }

  close(owner: Process, fd: number): void {
    const found = this.#open.get(fd)
    if (found === undefined || found.owner !== owner) {
      if (owner.alive) this.#onFault(`${owner.name} closed descriptor ${fd}, which is not its own`)
      return
    }
    this.#open.delete(fd)
    this.release(found.file)
  }

  closeAll(owner: Process): void {
    for (const [fd, one] of this.#open) {
      if (one.owner !== owner) continue
      this.#open.delete(fd)
      this.release(one.file)
    }
  }

  /** A reference that is no descriptor: one on its way through a socket. */
  hold(file: OpenFile): void {
    this.#references.set(file, (this.#references.get(file) ?? 0) + 1)
  }

  release(file: OpenFile): void {
    const left = (this.#references.get(file) ?? 0) - 1
    if (left > 0) return void this.#references.set(file, left)
    this.#references.delete(file)
    file.onLastClose()
  }

  /** How many a program has open. */
  count(owner: Process): number {
    return [...this.#open.values()].filter((one) => one.owner === owner).length
  }
}
