import type { Channel } from '../src/ports/child-process.ts'
import type { Clock } from '../src/ports/clock.ts'
import type { Log } from '../src/ports/log.ts'
import { lineSplitter } from './serial-text.ts'
import type { SerialLog } from './serial-log.ts'

/**
 * One boot fits into the burst. After it, a guest cannot fill the node's disk through Docker's log. The serial log is complete and has its own size
 * limit.
 */
const burstBytes = 512 * 1024
const refillBytesPerS = 4 * 1024
/** A prompt has no newline. It is shown after this long without further output. */
const promptDelayMs = 1_000

/** Copies the guest's first serial port to the runner's log and to the serial log. Resolves when the port has closed and all output is copied. */
export function followSerial(
  channel: Channel,
  sinks: { readonly log: Log; readonly file: SerialLog; readonly clock: Clock },
): Promise<void> {
  const lines = lineSplitter()
  const allowed = byteAllowance(sinks.clock)
  let cancelFlush: () => void = () => undefined
  let dropped = 0

  const show = (line: string): void => {
    sinks.file.append(line)
    if (!allowed(line.length)) {
      dropped += 1
      return
    }
    if (dropped > 0) sinks.log.warn({ stream: 'serial', lines: dropped }, 'Dropped serial output above the rate limit')
    dropped = 0
    sinks.log.info({ stream: 'serial', line }, 'Serial output')
  }
  channel.onData((bytes) => {
    cancelFlush()
    for (const line of lines.push(bytes)) show(line)
    cancelFlush = sinks.clock.after(promptDelayMs, () => {
      for (const line of lines.flush()) show(line)
    })
  })
  return new Promise((resolve) => {
    channel.onClose(() => {
      cancelFlush()
      for (const line of lines.flush()) show(line)
      void sinks.file.settled().then(resolve)
    })
  })
}

/** A token bucket in bytes. */
function byteAllowance(clock: Clock): (bytes: number) => boolean {
  let left = burstBytes
  let at = clock.now()
  return (bytes) => {
    const now = clock.now()
    left = Math.min(burstBytes, left + (Math.max(0, now - at) / 1_000) * refillBytesPerS)
    at = now
    if (bytes > left) return false
    left -= bytes
    return true
  }
}
