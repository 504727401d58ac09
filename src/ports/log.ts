export type LogFields = Readonly<Record<string, unknown>>

/** Constant message, values beside it. `error` means that we may be broken; a user's mistake is `info` and a condition. */
export interface Log {
  debug(fields: LogFields, message: string): void
  info(fields: LogFields, message: string): void
  warn(fields: LogFields, message: string): void
  error(fields: LogFields, message: string): void
}
