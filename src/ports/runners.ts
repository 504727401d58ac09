import type { VmUid } from '../api/names.ts'
import type { RunnerStatus } from '../api/wire/runner-control.ts'

/**
 * The runners of this node over their control sockets. What answers there is not trusted: answers are limited in size and time, and
 * nothing is sent to a socket that does not first say that it is this VM's.
 * Throws PortError: `NotFound` (no socket), `Unavailable` (nobody answers in time), `Denied` (it is no runner of this VM).
 */
export interface Runners {
  status(uid: VmUid, signal?: AbortSignal): Promise<RunnerStatus>
  /** Resolves when the runner has taken the order, not when the guest is off. */
  powerOff(uid: VmUid, signal?: AbortSignal): Promise<void>
}
