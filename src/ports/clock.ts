/** The program's clock; the simulator has its own. */
export interface Clock {
  /** Milliseconds since the epoch. Jumps when the machine's clock is set. */
  now(): number
  /** Milliseconds since an arbitrary moment. Monotonic: use it to measure durations. */
  elapsed(): number
  /** Calls back once after `ms`; the returned function cancels it. */
  after(ms: number, callback: () => void): () => void
}
