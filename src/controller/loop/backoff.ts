import type { Random } from '../../ports/random.ts'

const firstMs = 1_000
/** Five minutes: rare enough for a permanent failure, soon enough after a repair. */
const longestMs = 300_000

/** Adds up to half the delay from the first failure on, because one cause often fails many keys at once. */
const jitterShare = 0.5

/** Milliseconds to wait after `failures` failures in a row, from 1: exponential with jitter. */
export function backoffMs(failures: number, random: Random): number {
  const step = Math.min(firstMs * 2 ** Math.min(failures - 1, 20), longestMs / (1 + jitterShare))
  return Math.round(step * (1 + jitterShare * random.next()))
}
