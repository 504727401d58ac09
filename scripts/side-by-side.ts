import type { Suite } from './suites.ts'

/** Runs suites in order, up to `atOnce` at the same time. A suite starts when all suites in its `after` have ended. */
export async function sideBySide(suites: readonly Suite[], atOnce: number, runOne: (suite: Suite) => Promise<void>): Promise<void> {
  const waiting = [...suites]
  const running = new Map<string, Promise<void>>()
  const isOver = (name: string): boolean => !running.has(name) && waiting.every((one) => one.name !== name)
  while (waiting.length + running.size > 0) {
    const index = running.size < atOnce ? waiting.findIndex(({ after = [] }) => after.every(isOver)) : -1
    const [next] = index < 0 ? [] : waiting.splice(index, 1)
    if (next === undefined) await Promise.race(running.values())
    else
      running.set(
        next.name,
        runOne(next).finally(() => running.delete(next.name)),
      )
  }
}
