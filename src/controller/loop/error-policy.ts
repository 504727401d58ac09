import { PortError } from '../../ports/errors.ts'
import { messageOf } from '../../api/error-message.ts'

/** The reaction to a failed run of a key. */
export type Outcome =
  /** The cluster changed during the run: observe again soon. Not shown. */
  | { readonly kind: 'again'; readonly ms: number }
  /** The reconciler's conditions become Unknown with reason `Retrying`, and the key goes into backoff. `bug` means that our code may be at fault. */
  | { readonly kind: 'retry'; readonly message: string; readonly bug: boolean }
  /** Docker or an agent waits for something without an event: the key runs again after a delay. Shown as `retry`. */
  | { readonly kind: 'wait'; readonly message: string; readonly ms: number }
  /** Docker or an agent rejected the request: the key waits for a change. Shown as Stalled. */
  | { readonly kind: 'stalled'; readonly reason: string; readonly message: string }
  /** The controller is shutting down. */
  | { readonly kind: 'stopped' }

const soonMs = 200
/** Short enough for a user who is waiting; a guest may take minutes to power off. */
const notYetMs = 5_000

/** The only place that maps errors to outcomes. `stopping` distinguishes a cancelled call from a failed one. */
export function errorPolicy(error: unknown, stopping: boolean): Outcome {
  if (stopping) return { kind: 'stopped' }
  if (!(error instanceof PortError)) return { kind: 'retry', message: `internal error: ${messageOf(error)}`, bug: true }
  switch (error.kind) {
    case 'Conflict':
      return { kind: 'again', ms: soonMs }
    // The object was removed in the meantime: observing again shows whether anything is left to do.
    case 'NotFound':
      return { kind: 'again', ms: soonMs }
    case 'Unavailable':
      return { kind: 'retry', message: error.message, bug: false }
    case 'NotYet':
      return { kind: 'wait', message: error.message, ms: notYetMs }
    case 'Invalid':
      return { kind: 'stalled', reason: 'Refused', message: `${error.message}; it is retried once you fix this` }
    case 'Denied':
      return {
        kind: 'stalled',
        reason: 'Denied',
        message: `${error.message}; permission denied: check the controller's access to the Docker API`,
      }
    default:
      return error.kind satisfies never
  }
}
