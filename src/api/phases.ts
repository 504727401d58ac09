/** One word about a VM for lists (docs/conditions.md). No decision depends on it. */
export const phases = [
  'Invalid',
  'Unknown',
  'Pending',
  'Preparing',
  'Starting',
  'Running',
  'Ready',
  'Paused',
  'CrashLoopBackOff',
  'Stopping',
  'Stopped',
  'Succeeded',
  'Failed',
  'Halted',
  'Removing',
  'Suspended',
] as const
export type Phase = (typeof phases)[number]
