import type { Condition, ConditionType } from '../../api/conditions.ts'

/** Milliseconds from when this controller saw the manifest until it first saw each step True. */
export type Timeline = Readonly<Record<string, number>>

const steps: Readonly<Record<string, Step>> = {
  placed: { type: 'Placed' },
  assets: { type: 'AssetsReady' },
  // Owned is also True before there is a service, with another reason.
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
  /** Set if the condition is also True for other reasons. */
  readonly reason?: string
}

/** Only first times count. */
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
