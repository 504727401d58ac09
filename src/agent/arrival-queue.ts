/** Lets `limit` runs through at a time, in the order in which they came. */
export function arrivalQueue(limit: number): (run: () => Promise<void>) => Promise<void> {
  const waiting: (() => void)[] = []
  let running = 0
  return async (run) => {
    // A slot is handed over, never given back in between, so that nobody slips in before whoever was woken.
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
