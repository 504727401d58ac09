import type { Clock } from '../../src/ports/clock.ts'

interface Timer {
  readonly dueMs: number
  readonly order: number
  readonly callback: () => void
  cancelled: boolean
}

/** Time that passes only from one timer to the next. Timers of the same millisecond run in the order in which they were set. */
export class VirtualTime implements Clock {
  readonly #startMs: number
  #nowMs: number
  #order = 0
  readonly #heap: Timer[] = []

  constructor(startMs = Date.parse('2026-01-01T00:00:00Z')) {
    this.#startMs = startMs
    this.#nowMs = startMs
  }

  now(): number {
    return this.#nowMs
  }

  elapsed(): number {
    return this.#nowMs - this.#startMs
  }

  after(ms: number, callback: () => void): () => void {
    this.#order += 1
    const timer: Timer = { dueMs: this.#nowMs + Math.max(0, ms), order: this.#order, callback, cancelled: false }
    this.#push(timer)
    return () => void (timer.cancelled = true)
  }

  /** Runs the next timer that is due until `untilMs` and lets every promise settle; false where there is none, and then it is `untilMs`. */
  async step(untilMs: number): Promise<boolean> {
    const timer = this.#next(untilMs)
    if (timer === undefined) {
      this.#nowMs = Math.max(this.#nowMs, untilMs)
      return false
    }
    this.#nowMs = timer.dueMs
    timer.callback()
    await settled()
    return true
  }

  #next(untilMs: number): Timer | undefined {
    for (;;) {
      const [first] = this.#heap
      if (first === undefined || (!first.cancelled && first.dueMs > untilMs)) return undefined
      this.#pop()
      if (!first.cancelled) return first
    }
  }

  #push(timer: Timer): void {
    const heap = this.#heap
    let at = heap.push(timer) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!earlier(timer, heap[parent] as Timer)) break
      heap[at] = heap[parent] as Timer
      at = parent
    }
    heap[at] = timer
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && earlier(heap[child + 1] as Timer, heap[child] as Timer)) child += 1
      if (!earlier(heap[child] as Timer, last)) break
      heap[at] = heap[child] as Timer
      at = child
    }
    heap[at] = last
  }
}

function earlier(a: Timer, b: Timer): boolean {
  return a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order)
}

/** Microtasks all run before the next turn of the event loop, however long their chain: nothing is left half-way. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
