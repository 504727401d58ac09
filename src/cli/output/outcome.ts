import { closest } from '../../api/closest.ts'

export { printable } from '../../api/printable.ts'

/** What a verb came to. 0: done or valid; 1: refused, invalid or not reached; 2: called wrongly, or what it was given cannot be read. */
export interface Outcome {
  readonly exit: 0 | 1 | 2
  readonly out: string
  readonly err: string
}

export function done(out: string): Outcome {
  return { exit: 0, out, err: '' }
}

/** Called wrongly. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** The allowed value, in whatever case it was given. Throws UsageError, with what was probably meant, for any other. */
export function oneOf<Value extends string>(what: string, allowed: readonly Value[], given: string): Value {
  const found = allowed.find((one) => one.toLowerCase() === given.toLowerCase())
  if (found !== undefined) return found
  const meant = closest(given, allowed)
  const help = meant === undefined ? '' : `; did you mean "${meant}"?`
  throw new UsageError(`${what} must be one of ${allowed.join(', ')}, not "${given}"${help}`)
}
