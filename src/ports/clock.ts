/** Time as the program sees it; the simulator has its own. */
export interface Clock {
  /** Milliseconds since the epoch. Jumps when somebody sets the machine's clock. */
  now(): number
  /** Milliseconds since some moment. Goes on steadily, whatever is done to the date: spans of time are measured by it, and it says nothing about when. */
  elapsed(): number
  /** Calls back once after `ms`; the returned function cancels it. */
  after(ms: number, callback: () => void): () => void
}

export function rfc3339(clock: Clock): string {
  return new Date(clock.now()).toISOString()
}

/** Resolves after `ms`; rejects with the signal's reason when it is aborted first. */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason as Error)
    const onAbort = (): void => {
      cancel()
      reject(signal?.reason as Error)
    }
    const cancel = clock.after(ms, () => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    })
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}
