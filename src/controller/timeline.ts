import type { Condition, ConditionType } from '../api/conditions.ts'

/** Milliseconds from the moment the manifest was seen to the first time each step was true, as this controller saw it. */
export type Timeline = Readonly<Record<string, number>>

const steps = {
  placed: 'Placed',
  assets: 'AssetsReady',
  service: 'ServiceReady',
  guest: 'GuestRunning',
  link: 'LinkAttached',
  address: 'AddressLearned',
  reachable: 'Reachable',
  ready: 'Ready',
} as const satisfies Record<string, ConditionType>

/** First times only: what was once true keeps its time. */
export function advanceTimeline(
  held: Timeline,
  seenAtMs: number,
  nowMs: number,
  conditions: readonly Pick<Condition, 'type' | 'status'>[],
): Timeline {
  const reached = Object.entries(steps).filter(
    ([step, type]) => held[step] === undefined && conditions.some((one) => one.type === type && one.status === 'True'),
  )
  if (reached.length === 0 && held['manifest'] !== undefined) return held
  return { manifest: 0, ...held, ...Object.fromEntries(reached.map(([step]) => [step, nowMs - seenAtMs])) }
}
