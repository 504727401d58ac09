import type { Effect, Plan, Reconciler } from '../../reconcilers/reconciler.ts'
import type { Clock } from '../../ports/clock.ts'
import { type Outcome, errorPolicy } from './error-policy.ts'

/** A reconciler with opaque Seen and Action types. */
export type AnyReconciler<Key> = Reconciler<Key, unknown, unknown>

export type RunResult =
  /** All actions of the plan were applied; `effects` describes them. */
  | { readonly kind: 'planned'; readonly plan: Plan<unknown>; readonly effects: readonly Effect[]; readonly applied: number }
  /** `observed`: the run failed after it had observed the cluster, so its conditions are still correct. */
  | { readonly kind: 'failed'; readonly outcome: Outcome; readonly error: unknown; readonly applied: number; readonly observed: boolean }

/** Invalidates what must be fresh before these effects are applied; returns false if nothing must be. */
export type InvalidateBefore<Key> = (key: Key, effects: readonly Effect[]) => boolean

/** One run: observe, plan, apply. Never throws: an error becomes an outcome. */
export async function reconcileOnce<Key>(
  reconciler: AnyReconciler<Key>,
  key: Key,
  clock: Clock,
  signal: AbortSignal,
  invalidateBefore: InvalidateBefore<Key> = () => false,
): Promise<RunResult> {
  let applied = 0
  let observed = false
  const effectsOf = (plan: Plan<unknown>): readonly Effect[] => plan.actions.map((action) => reconciler.effectOf(action))
  try {
    let plan = reconciler.plan(await reconciler.observe(key, signal), clock.now())
    observed = true
    if (invalidateBefore(key, effectsOf(plan))) plan = reconciler.plan(await reconciler.observe(key, signal), clock.now())
    for (const action of plan.actions) {
      await reconciler.apply(action, signal)
      applied += 1
    }
    return { kind: 'planned', plan, effects: effectsOf(plan), applied }
  } catch (error) {
    return { kind: 'failed', outcome: errorPolicy(error, signal.aborted), error, applied, observed }
  }
}
