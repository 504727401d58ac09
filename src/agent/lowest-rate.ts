import { formatBytes } from '../api/quantity.ts'
import type { Clock } from '../ports/clock.ts'
import { ArrivalError } from '../ports/image-arrivals.ts'

/** A slower download blocks a slot that others wait for. At this rate 1 GiB takes almost five hours. */
const lowestRate = { windowMs: 60_000, bytesPerSecond: 64 * 1024 }

/** Aborts a download that receives too few bytes within a window. `run` gets the signal, and reports the bytes received so far. */
export async function withLowestRate<Value>(
  clock: Clock,
  signal: AbortSignal,
  run: (signal: AbortSignal, report: (bytes: number) => void) => Promise<Value>,
): Promise<Value> {
  const slow = new AbortController()
  let bytes = 0
  let bytesBefore = 0
  let cancel: () => void = () => undefined
  const watch = (): void => {
    cancel = clock.after(lowestRate.windowMs, () => {
      const arrived = bytes - bytesBefore
      bytesBefore = bytes
      if (arrived < (lowestRate.bytesPerSecond * lowestRate.windowMs) / 1000) slow.abort(tooSlow(arrived))
      else watch()
    })
  }
  watch()
  try {
    return await run(AbortSignal.any([signal, slow.signal]), (now) => (bytes = now))
  } catch (error) {
    throw slow.signal.aborted && !signal.aborted ? slow.signal.reason : error
  } finally {
    cancel()
  }
}

function tooSlow(arrived: number): ArrivalError {
  const { windowMs, bytesPerSecond } = lowestRate
  return new ArrivalError(
    'TooSlow',
    `${formatBytes(arrived)} received within ${windowMs / 1000} s; the minimum rate is ${formatBytes(bytesPerSecond)} per second`,
  )
}
