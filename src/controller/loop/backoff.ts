import type { Random } from '../../ports/random.ts'

const firstMs = 1_000
/** Five minutes: rare enough for what stays broken, soon enough for a person who repaired it. */
const longestMs = 300_000

/** Up to half as long again, from the first failure on: what fails keys fails many of them at once, and they must not come back together. */
const jitterShare = 0.5

/** Milliseconds to wait after `failures` failures in a row (1 is the first): doubling, and jitter on top of it. */
export function backoffMs(failures: number, random: Random): number {
  const step = Math.min(firstMs * 2 ** Math.min(failures - 1, 20), longestMs / (1 + jitterShare))
  return Math.round(step * (1 + jitterShare * random.next()))
}
