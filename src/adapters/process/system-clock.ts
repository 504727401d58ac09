import type { Clock } from '../../ports/clock.ts'

/** The maximum delay of Node's timers. A longer one would fire at once. */
const longestMs = 2 ** 31 - 1

/** The system clock. Its timers keep the process alive. */
export const systemClock: Clock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, Math.min(ms, longestMs))
    return () => clearTimeout(timer)
  },
}
