import { destination, pino, stdTimeFunctions } from 'pino'
import type { Log } from '../../ports/log.ts'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent'

/**
 * JSON lines on stdout with `level`, `time` (RFC 3339), `program`, the values and `msg`. Writes synchronously, so that the last line before an exit
 * is not lost.
 */
export function pinoLog(program: string, level: LogLevel = 'info'): Log {
  const logger = pino(
    {
      level,
      base: { program },
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    destination({ dest: 1, sync: true }),
  )
  return {
    debug: (fields, message) => logger.debug(fields, message),
    info: (fields, message) => logger.info(fields, message),
    warn: (fields, message) => logger.warn(fields, message),
    error: (fields, message) => logger.error(fields, message),
  }
}
