/** Time as the program sees it; the simulator has its own. */
export interface Clock {
  /** Milliseconds since the epoch. Jumps when somebody sets the machine's clock. */
  now(): number
  /** Milliseconds since some moment. Goes on steadily, whatever is done to the date: spans of time are measured by it, and it says nothing about when. */
  elapsed(): number
  /** Calls back once after `ms`; the returned function cancels it. */
  after(ms: number, callback: () => void): () => void
}
