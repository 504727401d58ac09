export type LogFields = Readonly<Record<string, unknown>>

/** A constant message, with values beside it. `error` means that the program may be broken. A user's mistake is `info` and a condition. */
export interface Log {
  debug(fields: LogFields, message: string): void
  info(fields: LogFields, message: string): void
  warn(fields: LogFields, message: string): void
  error(fields: LogFields, message: string): void
}
