/** What was thrown, in its own words. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/**
 * What a port may throw. Adapters make these and judge nothing; what follows from them is decided in one table (controller/outcome.ts).
 *
 * - `Conflict`: somebody else wrote first, or the name is taken. Observe again.
 * - `NotFound`: the far side says for certain that it is not there.
 * - `Unavailable`: no answer, a timeout, no leader, a cut connection: nothing is known, not even whether a write was made.
 * - `NotYet`: the far side understood and waits for something of its own, such as a guest that powers off. Ask again later.
 * - `Invalid`: the far side understood and refused.
 * - `Denied`: we may not.
 */
export type PortErrorKind = 'Conflict' | 'NotFound' | 'Unavailable' | 'NotYet' | 'Invalid' | 'Denied'

export class PortError extends Error {
  override readonly name = 'PortError'
  readonly kind: PortErrorKind

  constructor(kind: PortErrorKind, message: string, options?: ErrorOptions) {
    super(message, options)
    this.kind = kind
  }
}
