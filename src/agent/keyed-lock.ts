/** Serializes runs with the same key. The map only holds keys with a pending run. */
export function keyedLock(): <Value>(key: string, run: () => Promise<Value>) => Promise<Value> {
  const tails = new Map<string, Promise<void>>()
  return async (key, run) => {
    const before = tails.get(key) ?? Promise.resolve()
    const mine = before.then(run)
    const tail = mine.then(
      () => undefined,
      () => undefined,
    )
    tails.set(key, tail)
    void tail.then(() => tails.get(key) === tail && tails.delete(key))
    return await mine
  }
}
