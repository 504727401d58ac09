import type { VmUid } from '../api/names.ts'
import type { ExecOutcome, GuestControl, GuestPortState, RunnerStatus } from '../api/wire/runner-control.ts'

interface GuestProgram {
  readonly command: readonly string[]
  readonly timeoutMs: number
}

/**
 * The runners of this node, over their control sockets. Their answers are untrusted: they are limited in size and time, and nothing is sent
 * to a socket whose `hello` has another uid. Throws PortError: `NotFound` (no socket), `Unavailable` (no answer in time), `Denied` (not the
 * runner of this VM).
 */
export interface Runners {
  status(uid: VmUid, signal?: AbortSignal): Promise<RunnerStatus>
  /** Whether the guest accepts connections to a forwarded port. */
  guestPort(uid: VmUid, port: number, timeoutMs: number, signal?: AbortSignal): Promise<GuestPortState>
  /** Resolves with the edits that the guest does not have, and their reasons. `unsupported`: a runner of an earlier release, which reads nothing of it. */
  applyLive(uid: VmUid, signal?: AbortSignal): Promise<readonly string[] | 'unsupported'>
  /** Resolves when the runner has accepted the order, not when the guest is off. */
  powerOff(uid: VmUid, signal?: AbortSignal): Promise<void>
  /** Resolves once it is done. `Invalid` with the runner's message if it refuses, or is of release 0.1. */
  control(uid: VmUid, action: GuestControl, signal?: AbortSignal): Promise<void>
  /** Runs a program in the guest through its agent. `Unavailable` also if the runner is of release 0.1. */
  exec(uid: VmUid, program: GuestProgram, signal?: AbortSignal): Promise<ExecOutcome>
}
