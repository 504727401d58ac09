import { type Clock, sleep } from '../ports/clock.ts'

/** Longer than a run, and shorter than anybody minds to wait. */
const mostMs = 5

/**
 * Where all that a run reads is in memory, runs follow each other without a timer, a socket or a file being heard in between. Gives what to wait for
 * before the next one: nothing, or for everybody else who waits.
 */
export function turns(clock: Clock): () => Promise<void> | undefined {
  let sinceMs = clock.elapsed()
  let turn: Promise<void> | undefined
  return () => {
    if (turn !== undefined || clock.elapsed() - sinceMs < mostMs) return turn
    turn = sleep(clock, 0).then(() => {
      sinceMs = clock.elapsed()
      turn = undefined
    })
    return turn
  }
}
