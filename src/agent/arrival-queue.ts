/** Runs at most `limit` jobs at a time, first come, first served. */
export function arrivalQueue(limit: number): (run: () => Promise<void>) => Promise<void> {
  const waiting: (() => void)[] = []
  let running = 0
  return async (run) => {
    // A finished job passes its slot on directly, so that no new job overtakes the waiting one.
    if (running >= limit) await new Promise<void>((resolve) => waiting.push(resolve))
    else running += 1
    try {
      await run()
    } finally {
      const next = waiting.shift()
      if (next) next()
      else running -= 1
    }
  }
}
