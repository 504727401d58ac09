/** The runner's reaction to a state of its QEMU (`query-status`) while the guest should run. */
type Response =
  /** The guest runs, or is about to run. */
  | 'none'
  /** QEMU's events already tell the runner that the guest has ended. */
  | 'byEvent'
  /** Send `cont` once the file system of the disks has room. */
  | 'continueWithRoom'
  /** Send `cont`: there is no reason to pause the guest. */
  | 'continue'
  /** QEMU cannot go on. It is ended as a crash, and Swarm starts the task again. */
  | 'end'
  /** Does not occur with the options that the runner gives QEMU. It is reported, and nothing is done. */
  | 'report'

/** Each value of QEMU's `RunState` (qapi/run-state.json, QEMU 10). */
export const qemuRunStates = {
  colo: 'report',
  debug: 'report',
  'finish-migrate': 'report',
  'guest-panicked': 'byEvent',
  inmigrate: 'report',
  'internal-error': 'end',
  // `werror=enospc` is QEMU's default: of all disk errors only "no space left" stops the guest.
  'io-error': 'continueWithRoom',
  paused: 'continue',
  postmigrate: 'report',
  prelaunch: 'none',
  'restore-vm': 'report',
  running: 'none',
  'save-vm': 'report',
  shutdown: 'byEvent',
  suspended: 'report',
  watchdog: 'end',
} as const satisfies Readonly<Record<string, Response>>

type QemuRunState = keyof typeof qemuRunStates

/** A state of a newer QEMU is reported. */
export function responseTo(state: string): Response {
  return Object.hasOwn(qemuRunStates, state) ? qemuRunStates[state as QemuRunState] : 'report'
}
