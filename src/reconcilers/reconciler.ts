import type { ConditionDraft } from '../api/conditions.ts'
import type { NicView } from '../api/wire/controller-api.ts'
import type { KnownAnswer } from '../api/wire/unchanged.ts'
import type { DriftKind } from '../api/drift-kinds.ts'
import type { NodeId } from '../api/names.ts'

/**
 * The one interface of the four reconcilers. They never call each other: each observes what the others wrote.
 *
 * *Guarantees*: `observe` only reads and returns a value; `plan` is pure; each action is one idempotent write that carries the version it
 * was planned on. *Assumptions*: one run per key at a time. *Caveats*: between observe and apply the cluster may change; the port rejects
 * the stale write (Conflict) and the key is reconciled again.
 */
export interface Reconciler<Key, Seen, Action> {
  readonly name: 'nodes' | 'assets' | 'services' | 'reachability'
  observe(key: Key, signal: AbortSignal): Promise<Seen>
  /** Pure: everything it needs is in `seen` and `nowMs`. */
  plan(seen: Seen, nowMs: number): Plan<Action>
  apply(action: Action, signal: AbortSignal): Promise<void>
  /** Describes an action to the reconcile loop, which does not know the action types. Pure. */
  effectOf(action: Action): Effect
}

/** The effect of an action, in the same terms for all reconcilers. */
export interface Effect {
  /** The action's name, for the log. */
  readonly kind: string
  /** Stops or changes a guest, or deletes disks. The loop checks again that the VM is not suspended before it applies the plan. */
  readonly disruptive: boolean
  /** Only a node's agent gets it. Nothing in the Swarm changes, so no other reconciler has to run. */
  readonly onNode?: true
  /** A change from outside that this action corrects. */
  readonly drift?: Drift
  /** The VM event to record, for an action that a guest or an operator notices. Not recorded when the action corrects drift. */
  readonly event?: { readonly reason: string; readonly message: string }
}

/** Docker does not record who changed an object; all we know is that it was not swarmvirt. */
export const somebodyElse = 'somebody other than swarmvirt'

export interface Drift {
  /** Each adds one to `swarmvirt_drift_corrections_total`. */
  readonly kinds: readonly DriftKind[]
  /** `ifHadService`: counts as drift only if the VM had a service before, which the loop remembers. */
  readonly counts: 'always' | 'ifHadService'
  /** Recorded as VM events. */
  readonly messages: readonly string[]
}

export interface Plan<Action> {
  /** Applied in order; the first failure ends the run. */
  readonly actions: readonly Action[]
  /**
   * The conditions that this reconciler owns, as they are once all actions are applied; none for nodes. A plan with actions and without
   * conditions leaves them to the run that follows.
   */
  readonly conditions: readonly ConditionDraft[]
  readonly next: Next
  /** Shown beside the conditions: `node`, `ip`, `mac`, `accelerator`, `uid`, `task`, `probeNode`; a key is absent while its value is unknown. */
  readonly facts?: Readonly<Record<string, string>>
  /** Only from reachability. */
  readonly nics?: readonly NicView[]
  /**
   * The agents' answers behind this plan; no event reports when they change. While the agents confirm them, reconciling would give the same
   * plan, so the loop only restarts the delay. Absent when the answers cannot be revalidated.
   */
  readonly cachedAnswers?: readonly CachedAnswer[]
}

/** An answer of a node's agent that the agent can revalidate. */
export interface CachedAnswer {
  readonly nodeId: NodeId
  readonly known: KnownAnswer
}

/** When to reconcile again without an event. A plan with actions is always reconciled again at once. */
export type Next =
  | { readonly kind: 'settled' }
  | { readonly kind: 'requeueAfter'; readonly ms: number }
  /** No changes may be made for the VM, but it is still observed. Shown as Suspended. */
  | { readonly kind: 'suspended'; readonly ms: number; readonly reason: string; readonly message: string }
  /** No retry helps until the manifest or the node changes; shown as Stalled with the reason. */
  | { readonly kind: 'stalled'; readonly reason: string; readonly message: string }
