import type { RunnerPhase } from '../src/api/wire/runner-control.ts'

/**
 * The states of a VM's runner, in KubeVirt's words where it has one. `WaitingFor…` and `Booting` are ours: KubeVirt has no lease.
 *
 * | state | meaning |
 * |---|---|
 * | Starting | reading the launch config, the identity and the crash record |
 * | CrashLoopBackOff | the next start waits after crashes |
 * | WaitingForBroker | the broker cannot be reached |
 * | WaitingForGrant | the node's agent has not granted the VM, or the node lacks something that the grant needs |
 * | WaitingForPrevious | another runner or QEMU still has the VM |
 * | Booting | QEMU is being started |
 * | Running | the guest's CPUs run |
 * | Paused | QEMU runs and the guest's CPUs stand still |
 * | Stopping | a stop was requested and the guest has not powered off yet |
 * | Stopped | the guest is off, and the task stays |
 * | DiskCorrupt | a disk is corrupt after its QEMU was killed; the guest is not started |
 * | Succeeded | the guest shut itself down, and its runStrategy does not run it again |
 * | Failed | the guest crashed, and its runStrategy does not run it again |
 */
export const runnerStates = [
  'Starting',
  'CrashLoopBackOff',
  'WaitingForBroker',
  'WaitingForGrant',
  'WaitingForPrevious',
  'Booting',
  'Running',
  'Paused',
  'Stopping',
  'Stopped',
  'DiskCorrupt',
  'Succeeded',
  'Failed',
] as const
export type RunnerState = (typeof runnerStates)[number]

export interface Life {
  readonly state: RunnerState
  /** Why, for people. Empty if the state says it all. */
  readonly message: string
}

export type WaitState = Extract<RunnerState, `WaitingFor${string}`>

export type LifeEvent =
  | { readonly kind: 'backingOff'; readonly message: string }
  | { readonly kind: 'waiting'; readonly state: WaitState; readonly message: string }
  | { readonly kind: 'leased' }
  | { readonly kind: 'booted' }
  | { readonly kind: 'paused'; readonly message: string }
  | { readonly kind: 'resumed' }
  | { readonly kind: 'stopping'; readonly message: string }
  | { readonly kind: 'off'; readonly message: string }
  | { readonly kind: 'diskCorrupt'; readonly message: string }
  | { readonly kind: 'finished'; readonly result: 'Succeeded' | 'Failed'; readonly message: string }

const off = [
  'Starting',
  'CrashLoopBackOff',
  'WaitingForBroker',
  'WaitingForGrant',
  'WaitingForPrevious',
  'Stopped',
  'DiskCorrupt',
  'Succeeded',
  'Failed',
] as const
const on = ['Booting', 'Running', 'Paused', 'Stopping'] as const

/** The states in which an event has a meaning. In every other state it arrives too late and changes nothing. */
const happensIn: Readonly<Record<LifeEvent['kind'], readonly RunnerState[]>> = {
  backingOff: off,
  // From `Booting`: the lease was lost before QEMU started. From the later states: another QEMU has the disk.
  waiting: [...off, ...on],
  leased: off,
  booted: ['Booting'],
  paused: ['Running', 'Paused'],
  resumed: ['Running', 'Paused'],
  stopping: ['Booting', 'Running', 'Paused', 'Stopping'],
  off: [...off, ...on],
  finished: [...off, ...on],
  diskCorrupt: [...off, ...on],
}

export const firstLife: Life = { state: 'Starting', message: '' }

/** Pure. Returns the same object if the event changes nothing. */
export function nextLife(life: Life, event: LifeEvent): Life {
  if (!happensIn[event.kind].includes(life.state)) return life
  const next = lifeAfter(event)
  return next.state === life.state && next.message === life.message ? life : next
}

function lifeAfter(event: LifeEvent): Life {
  switch (event.kind) {
    case 'backingOff':
      return { state: 'CrashLoopBackOff', message: event.message }
    case 'waiting':
      return { state: event.state, message: event.message }
    case 'leased':
      return { state: 'Booting', message: 'QEMU is being started' }
    case 'booted':
    case 'resumed':
      return { state: 'Running', message: '' }
    case 'paused':
      return { state: 'Paused', message: event.message }
    case 'stopping':
      return { state: 'Stopping', message: event.message }
    case 'off':
      return { state: 'Stopped', message: event.message }
    case 'diskCorrupt':
      return { state: 'DiskCorrupt', message: event.message }
    case 'finished':
      return { state: event.result, message: event.message }
  }
}

/** The state as a status of release 0.1 names it (runner-control.ts). Its readers reject other words. */
export function phaseOf(state: RunnerState): RunnerPhase {
  switch (state) {
    case 'CrashLoopBackOff':
      return 'CrashBackoff'
    case 'Paused':
      return 'Running'
    case 'Stopping':
      return 'ShuttingDown'
    case 'DiskCorrupt':
    case 'Succeeded':
    case 'Failed':
      return 'Stopped'
    default:
      return state
  }
}
