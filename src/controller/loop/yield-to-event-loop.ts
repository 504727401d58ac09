import { type Clock, sleep } from '../../ports/clock.ts'

/** Longer than a run, and shorter than anybody minds to wait. */
const mostMs = 5

/**
 * Where all that a run reads is in memory, runs follow each other without a timer, a socket or a file being heard in between. Gives what to wait for
 * before the next one: nothing, or for everybody else who waits.
 */
export function turns(clock: Clock): () => Promise<void> | undefined {
  /** Of the first run since others were last heard. */
  let begunMs: number | undefined
  let turn: Promise<void> | undefined
  const heard = (): void => {
    begunMs = undefined
    turn = undefined
  }
  return () => {
    if (turn !== undefined) return turn
    if (begunMs === undefined) {
      begunMs = clock.elapsed()
      clock.after(0, heard)
    }
    if (clock.elapsed() - begunMs < mostMs) return undefined
    turn = sleep(clock, 0).then(heard)
    return turn
  }
}
