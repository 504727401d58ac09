import { closest } from '../../api/closest.ts'

export { printable } from '../../api/printable.ts'

/** Result of a verb. Exit 0: done or valid. 1: rejected, invalid or not reached. 2: wrong usage, or unreadable input. */
export interface Outcome {
  readonly exit: 0 | 1 | 2
  readonly out: string
  readonly err: string
}

export function done(out: string): Outcome {
  return { exit: 0, out, err: '' }
}

/** Wrong usage. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** Returns the allowed value, ignoring case. Throws UsageError with a suggestion otherwise. */
export function oneOf<Value extends string>(what: string, allowed: readonly Value[], given: string): Value {
  const found = allowed.find((one) => one.toLowerCase() === given.toLowerCase())
  if (found !== undefined) return found
  const meant = closest(given, allowed)
  const help = meant === undefined ? '' : `; did you mean "${meant}"?`
  throw new UsageError(`${what} must be one of ${allowed.join(', ')}, not "${given}"${help}`)
}
