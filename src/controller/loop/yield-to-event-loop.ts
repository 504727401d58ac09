import type { Clock } from '../../ports/clock.ts'
import { sleep } from '../../api/time.ts'

/** Longer than one run, and short enough for timers and sockets. */
const mostMs = 5

/**
 * Runs that only read from memory follow each other without giving timers, sockets and files a turn. Returns what to await before the next
 * run: nothing, or one turn of the event loop.
 */
export function yieldToEventLoop(clock: Clock): () => Promise<void> | undefined {
  /** When the first run since the last turn of the event loop began. */
  let begunMs: number | undefined
  let turn: Promise<void> | undefined
  const reset = (): void => {
    begunMs = undefined
    turn = undefined
  }
  return () => {
    if (turn !== undefined) return turn
    if (begunMs === undefined) {
      begunMs = clock.elapsed()
      clock.after(0, reset)
    }
    if (clock.elapsed() - begunMs < mostMs) return undefined
    turn = sleep(clock, 0).then(reset)
    return turn
  }
}
