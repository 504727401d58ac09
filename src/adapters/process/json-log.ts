import type { Writable } from 'node:stream'
import type { Log, LogFields } from '../../ports/log.ts'

/** Buffer for a reader that is slow or away. */
const longestBacklogBytes = 1024 * 1024

export interface JsonLog extends Log {
  /** Resolves when everything is written, or after a quarter of a second: an exit must not wait for a missing reader. */
  flush(): Promise<void>
}

/** Writes one JSON object per line. Output beyond the buffer is dropped: a stopped Docker daemon reads no logs, and a runner must not block on it. */
export function jsonLog(stream: Writable, options: { readonly debug: boolean }): JsonLog {
  let lost = 0
  // A reader that closes must not end the program.
  stream.on('error', () => undefined)
  const write = (level: string) => (fields: LogFields, message: string) => {
    if (stream.writableLength > longestBacklogBytes) {
      lost += 1
      return
    }
    const missing = lost > 0 ? { lostLines: lost } : {}
    lost = 0
    stream.write(`${JSON.stringify({ time: new Date().toISOString(), level, msg: message, ...missing, ...fields })}\n`)
  }
  return {
    debug: options.debug ? write('debug') : () => undefined,
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    flush: () =>
      new Promise((resolve) => {
        const timer = setTimeout(resolve, 250)
        stream.write('', () => {
          clearTimeout(timer)
          resolve()
        })
      }),
  }
}
