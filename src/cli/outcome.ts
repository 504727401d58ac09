export { printable } from '../api/printable.ts'

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

/** Throws UsageError for a value that an option does not have. */
export function oneOf<Value extends string>(option: string, allowed: readonly Value[], given: string): Value {
  const found = allowed.find((one) => one === given)
  if (found === undefined) throw new UsageError(`${option} is one of ${allowed.join(', ')}, not "${given}"`)
  return found
}
