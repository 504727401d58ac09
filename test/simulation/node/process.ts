import type { Clock } from '../../../src/ports/clock.ts'

/** The descriptors of all programs of the node. */
export interface OpenDescriptors {
  closeAll(owner: Process): void
}

/** A program that runs on a node. When it ends its descriptors are closed, and nothing it was given answers it any more. */
export class Process {
  readonly name: string
  readonly clock: Clock
  readonly #descriptors: OpenDescriptors
  readonly #onEnd: (() => void)[] = []
  readonly #over = new AbortController()
  #alive = true

  constructor(name: string, time: Clock, descriptors: OpenDescriptors) {
    this.name = name
    this.#descriptors = descriptors
    this.clock = {
      now: () => time.now(),
      elapsed: () => time.elapsed(),
      after: (ms, callback) => time.after(ms, () => void (this.#alive && callback())),
    }
  }

  get alive(): boolean {
    return this.#alive
  }

  /** Never aborted while anybody looks: a program that is killed does nothing in its end. */
  get signal(): AbortSignal {
    return this.#over.signal
  }

  /** The run is over: what waits for the signal may be forgotten. */
  forget(): void {
    this.end()
    this.#over.abort(new Error('the run is over'))
  }

  onEnd(callback: () => void): void {
    if (this.#alive) this.#onEnd.push(callback)
    else callback()
  }

  end(): void {
    if (!this.#alive) return
    this.#alive = false
    this.#descriptors.closeAll(this)
    for (const callback of this.#onEnd) callback()
  }

  /** A promise that never settles. */
  static never<T>(): Promise<T> {
    return new Promise(() => {})
  }
}
