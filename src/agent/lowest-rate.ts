import { formatBytes } from '../api/quantity.ts'
import type { Clock } from '../ports/clock.ts'
import { ArrivalError } from '../ports/image-arrivals.ts'

/** A slower download holds a slot that others wait for: at this rate 1 GiB takes almost five hours. */
const lowestRate = { windowMs: 60_000, bytesPerSecond: 64 * 1024 }

/** Ends a download that brings too little within a window. `run` gets the signal that ends it, and reports the bytes it has so far. */
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
    `${formatBytes(arrived)} arrived within ${windowMs / 1000} s, and the lowest rate is ${formatBytes(bytesPerSecond)} per second`,
  )
}
