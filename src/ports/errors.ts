/**
 * The errors of ports. Adapters only create them; controller/loop/error-policy.ts decides what to do.
 *
 * - `Conflict`: another writer was faster, or the name is taken. Observe again.
 * - `NotFound`: the object certainly does not exist.
 * - `Unavailable`: no answer, a timeout, no leader, a lost connection. It is unknown whether a write was applied.
 * - `NotYet`: the request was accepted but waits for something, such as a guest that powers off. Ask again later.
 * - `Invalid`: the request was rejected.
 * - `Denied`: permission denied.
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
