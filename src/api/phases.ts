/** One word of a VM for lists (docs/conditions.md); nothing decides by it. */
export const phases = [
  'Invalid',
  'Unknown',
  'Pending',
  'Preparing',
  'Starting',
  'Running',
  'Ready',
  'Stopping',
  'Halted',
  'Removing',
  'Suspended',
] as const
export type Phase = (typeof phases)[number]
