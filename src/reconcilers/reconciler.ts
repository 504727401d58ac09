import type { ConditionDraft } from '../api/conditions.ts'
import type { KnownAnswer } from '../api/wire/unchanged.ts'
import type { DriftKind } from '../ports/metrics.ts'

/**
 * The one interface of the four reconcilers. They never call each other; they meet through the world.
 *
 * *Guarantees*: `observe` only reads and returns a value; `plan` is pure; each action is one idempotent write that carries the version it
 * was planned on. *Assumptions*: one run per key at a time. *Caveats*: between observe and apply the world may change; the far side
 * refuses the stale write (Conflict) and the key is looked at again.
 */
export interface Reconciler<Key, Seen, Action> {
  readonly name: 'nodes' | 'assets' | 'services' | 'reachability'
  observe(key: Key, signal: AbortSignal): Promise<Seen>
  /** `nowMs` is the clock's; all else is in `seen`. */
  plan(seen: Seen, nowMs: number): Plan<Action>
  apply(action: Action, signal: AbortSignal): Promise<void>
  /** What the runtime has to know about an action. Pure. Only the reconciler knows the type of its actions. */
  effectOf(action: Action): Effect
}

/** What an action does, in terms that are the same for all reconcilers. */
export interface Effect {
  /** The action's name, for the log. */
  readonly kind: string
  /** It stops or changes a guest, or deletes disks. The runtime reads whether the VM is suspended again before it applies the plan. */
  readonly disruptive: boolean
  /** What somebody else changed and this action restores. */
  readonly drift?: Drift
  /** An event of the VM, for an action that a guest or an operator notices. Not recorded where the action corrects drift. */
  readonly event?: { readonly reason: string; readonly message: string }
}

export interface Drift {
  /** One count of `swarmvirt_drift_corrections_total` each. */
  readonly kinds: readonly DriftKind[]
  /** `ifHadService`: drift only where the VM had a service before, which the runtime remembers. */
  readonly counts: 'always' | 'ifHadService'
  /** Events of the VM. */
  readonly messages: readonly string[]
}

export interface Plan<Action> {
  /** Carried out in order; the first that fails ends the run. */
  readonly actions: readonly Action[]
  /** Drafts of the conditions this reconciler owns; none for nodes. They hold after the actions were carried out. */
  readonly conditions: readonly ConditionDraft[]
  readonly next: Next
  /** What is known about the VM and shown beside its conditions: `node`, `ip`, `mac`, `accelerator`, `uid`, `task`, `probeNode`; absent where not known. */
  readonly facts?: Readonly<Record<string, string>>
  /**
   * All that this plan was made from and that nothing tells of when it changes: answers of agents. While they still hold, another look would
   * find the same, and the time until the next one begins anew. Absent where that is not so.
   */
  readonly evidence?: readonly Evidence[]
}

/** An answer that the agent of a node gave. */
export interface Evidence {
  readonly nodeId: string
  readonly known: KnownAnswer
}

/** When to look again without being told to. A plan with actions is looked at again at once, whatever it says here. */
export type Next =
  | { readonly kind: 'settled' }
  | { readonly kind: 'requeueAfter'; readonly ms: number }
  /** Nothing may be written for the VM; it is looked at all the same. Shown as Suspended. */
  | { readonly kind: 'suspended'; readonly ms: number; readonly reason: string; readonly message: string }
  /** Nothing will change before the manifest or the node does; shown as Stalled with the reason. */
  | { readonly kind: 'stalled'; readonly reason: string; readonly message: string }
