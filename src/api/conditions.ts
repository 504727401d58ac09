export type ConditionStatus = 'True' | 'False' | 'Unknown'

/**
 * Every condition type with its one owner. `Reconciling` and `Stalled` are kstatus' abnormal-true pair: they exist only while they are
 * true. `Suspended` replaces them while it is true. The controller computes `Ready` from the others.
 */
export const conditionOwners = {
  Valid: 'source',
  Placed: 'assets',
  AssetsReady: 'assets',
  SoftwareEmulation: 'assets',
  NetworkFallback: 'assets',
  ServiceReady: 'services',
  Owned: 'services',
  RestartRequired: 'services',
  GuestRunning: 'reachability',
  LinkAttached: 'reachability',
  LinkUnfiltered: 'reachability',
  LinkDegraded: 'reachability',
  AddressLearned: 'reachability',
  Reachable: 'reachability',
  GuestReady: 'reachability',
  Ready: 'controller',
  Reconciling: 'controller',
  Stalled: 'controller',
  Suspended: 'controller',
} as const
export type ConditionType = keyof typeof conditionOwners
export type ConditionOwner = (typeof conditionOwners)[ConditionType]

export interface Condition {
  readonly type: ConditionType
  readonly status: ConditionStatus
  /** CamelCase, for machines. */
  readonly reason: string
  /** For people: what happens, where, why, and what to do. */
  readonly message: string
  /** Generation of the manifest that this was derived from. */
  readonly observedGeneration: string
  /** RFC 3339. Only changes when `status` does, and not when the controller restarts. */
  readonly lastTransitionTime: string
}

/** A condition before it is stamped with generation and time. */
export type ConditionDraft = Pick<Condition, 'type' | 'status' | 'reason' | 'message'>

export function condition(type: ConditionType, status: ConditionStatus, reason: string, message: string): ConditionDraft {
  return { type, status, reason, message }
}

export interface Stamp {
  readonly observedGeneration: string
  readonly now: string
  /** Since when a condition has had its new status, if known. */
  readonly since?: (type: ConditionType, status: ConditionStatus) => string | undefined
}

/** Merges drafts into the held conditions. A draft replaces the condition of its type. The transition time only changes with the status. */
export function stampConditions(held: readonly Condition[], drafts: readonly ConditionDraft[], stamp: Stamp): Condition[] {
  const byType = new Map(held.map((one) => [one.type, one]))
  for (const draft of drafts) {
    const before = byType.get(draft.type)
    const moved = (): string => stamp.since?.(draft.type, draft.status) ?? stamp.now
    const lastTransitionTime = before?.status === draft.status ? before.lastTransitionTime : moved()
    byType.set(draft.type, { ...draft, observedGeneration: stamp.observedGeneration, lastTransitionTime })
  }
  return [...byType.values()]
}

/** The checks for Ready, in the order in which they become True; the first failing one is the reason. */
export const readyChecks = [
  'Valid',
  'Placed',
  'AssetsReady',
  'Owned',
  'ServiceReady',
  'GuestRunning',
  'LinkAttached',
  'AddressLearned',
  'Reachable',
  'GuestReady',
] as const satisfies readonly ConditionType[]
