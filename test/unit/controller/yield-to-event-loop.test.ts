import { expect, it } from 'vitest'
import { yieldToEventLoop } from '../../../src/controller/loop/yield-to-event-loop.ts'

/** Time passes while work is done; what waits is called when the test says so. */
function bench() {
  let nowMs = 0
  let waiting: (() => void)[] = []
  const clock = {
    now: () => nowMs,
    elapsed: () => nowMs,
    after(_ms: number, callback: () => void) {
      waiting.push(callback)
      return () => undefined
    },
  }
  return {
    turn: yieldToEventLoop(clock),
    work: (ms: number) => void (nowMs += ms),
    others: async () => {
      const due = waiting
      waiting = []
      for (const callback of due) callback()
      await Promise.resolve()
    },
  }
}

it('lets runs follow each other for a while, and then yields', async () => {
  const { turn, work, others } = bench()
  for (let run = 0; run < 3; run += 1) {
    expect(turn()).toBeUndefined()
    work(2)
  }
  const wait = turn()
  expect(wait).toBeInstanceOf(Promise)
  // Later callers wait for the same turn.
  expect(turn()).toBe(wait)
  await others()
  await wait
  expect(turn()).toBeUndefined()
})

it('does not delay a caller if the event loop has just had a turn', async () => {
  const { turn, work, others } = bench()
  for (let run = 0; run < 3; run += 1) {
    expect(turn()).toBeUndefined()
    await others()
    work(60_000)
  }
})
