import type { Random } from '../ports/random.ts'

const firstMs = 1_000
/** Five minutes: rare enough for what stays broken, soon enough for a person who repaired it. */
const longestMs = 300_000

/** Milliseconds to wait after `failures` failures in a row (1 is the first): doubling, half of it jitter so that keys do not march together. */
export function backoffMs(failures: number, random: Random): number {
  const whole = Math.min(firstMs * 2 ** Math.min(failures - 1, 20), longestMs)
  return Math.max(firstMs, Math.round(whole * (0.5 + random.next() / 2)))
}
