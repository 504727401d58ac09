export function rfc3339(clock: { now(): number }): string {
  return new Date(clock.now()).toISOString()
}

/** Resolves after `ms`; rejects with the signal's reason when it is aborted first. */
export function sleep(clock: { after(ms: number, callback: () => void): () => void }, ms: number, signal?: AbortSignal): Promise<void> {
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
