import { messageOf, PortError } from '../../ports/errors.ts'

/** What follows from a failed run of one key. */
export type Outcome =
  /** The world moved under us: observe again soon. Nothing is shown. */
  | { readonly kind: 'again'; readonly ms: number }
  /** Nothing is known: the reconciler's conditions become Unknown, reason `Retrying`, and the key waits for its backoff. `bug` where we may be broken. */
  | { readonly kind: 'retry'; readonly message: string; readonly bug: boolean }
  /** The far side waits for something that no event tells of: the key is looked at again after a while. Shown as `retry` is. */
  | { readonly kind: 'wait'; readonly message: string; readonly ms: number }
  /** The far side understood and refused: it waits for a change, shown as Stalled. */
  | { readonly kind: 'stalled'; readonly reason: string; readonly message: string }
  /** We are being stopped. */
  | { readonly kind: 'stopped' }

const soonMs = 200
/** A guest may take minutes to power off, and a person waits for what comes after it. */
const notYetMs = 5_000

/** The one table that judges errors (docs: errors and outcomes). `stopping` tells a cancelled call from one that failed. */
export function outcomeOf(error: unknown, stopping: boolean): Outcome {
  if (stopping) return { kind: 'stopped' }
  if (!(error instanceof PortError)) return { kind: 'retry', message: `internal error: ${messageOf(error)}`, bug: true }
  switch (error.kind) {
    case 'Conflict':
      return { kind: 'again', ms: soonMs }
    // Gone while it was being removed is done, and gone before it was changed asks for another look: both are found out by observing again.
    case 'NotFound':
      return { kind: 'again', ms: soonMs }
    case 'Unavailable':
      return { kind: 'retry', message: error.message, bug: false }
    case 'NotYet':
      return { kind: 'wait', message: error.message, ms: notYetMs }
    case 'Invalid':
      return { kind: 'stalled', reason: 'Refused', message: `${error.message}; correct what it names and it is tried again` }
    case 'Denied':
      return {
        kind: 'stalled',
        reason: 'Denied',
        message: `${error.message}; the controller may not do this: check its rights to the Docker API`,
      }
    default:
      return error.kind satisfies never
  }
}
