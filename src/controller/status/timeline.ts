import type { Condition, ConditionType } from '../../api/conditions.ts'

/** Milliseconds from the moment the manifest was seen to the first time each step was true, as this controller saw it. */
export type Timeline = Readonly<Record<string, number>>

const steps: Readonly<Record<string, Step>> = {
  placed: { type: 'Placed' },
  assets: { type: 'AssetsReady' },
  // Nobody else's name is in the way before there is a service, too.
  service: { type: 'Owned', reason: 'Owned' },
  task: { type: 'ServiceReady', reason: 'TaskRunning' },
  guest: { type: 'GuestRunning' },
  link: { type: 'LinkAttached' },
  address: { type: 'AddressLearned' },
  reachable: { type: 'Reachable' },
  ready: { type: 'Ready' },
}

interface Step {
  readonly type: ConditionType
  /** Where the condition is also True for another reason. */
  readonly reason?: string
}

/** First times only: what was once true keeps its time. */
export function advanceTimeline(
  held: Timeline,
  seenAtMs: number,
  nowMs: number,
  conditions: readonly Pick<Condition, 'type' | 'status' | 'reason'>[],
): Timeline {
  const reached = Object.entries(steps).filter(
    ([step, { type, reason }]) =>
      held[step] === undefined &&
      conditions.some((one) => one.type === type && one.status === 'True' && (reason === undefined || one.reason === reason)),
  )
  if (reached.length === 0 && held['manifest'] !== undefined) return held
  return { manifest: 0, ...held, ...Object.fromEntries(reached.map(([step]) => [step, nowMs - seenAtMs])) }
}
