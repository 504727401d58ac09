import type { Clock } from '../../../src/ports/clock.ts'
import type { Log } from '../../../src/ports/log.ts'
import type { Random } from '../../../src/ports/random.ts'

export interface VirtualClock extends Clock {
  /** Lets time pass and calls back whatever is due, in order, letting promises settle in between. */
  pass(ms: number): Promise<void>
  pending(): number
  /** Somebody sets the date, and no time passes. */
  jump(ms: number): void
}

export function virtualClock(startMs = 1_000_000): VirtualClock {
  let nowMs = 0
  let dateMs = startMs
  let order = 0
  const timers = new Map<number, { dueMs: number; callback: () => void }>()
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 100; turn += 1) await Promise.resolve()
  }
  return {
    now: () => dateMs + nowMs,
    elapsed: () => nowMs,
    jump: (ms) => void (dateMs += ms),
    after(ms, callback) {
      order += 1
      const id = order
      timers.set(id, { dueMs: nowMs + ms, callback })
      return () => void timers.delete(id)
    },
    pending: () => timers.size,
    async pass(ms) {
      const endMs = nowMs + ms
      await settle()
      for (;;) {
        const [next] = [...timers].filter(([, timer]) => timer.dueMs <= endMs).sort((a, b) => a[1].dueMs - b[1].dueMs || a[0] - b[0])
        if (next === undefined) break
        timers.delete(next[0])
        nowMs = Math.max(nowMs, next[1].dueMs)
        next[1].callback()
        await settle()
      }
      nowMs = endMs
    },
  }
}

/** Always the middle. */
export const evenRandom: Random = { next: () => 0.5, uuid: () => '00000000-0000-4000-8000-000000000000' }

export const silentLog: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined }
