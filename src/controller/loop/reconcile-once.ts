import type { Effect, Plan, Reconciler } from '../../reconcilers/reconciler.ts'
import type { Clock } from '../../ports/clock.ts'
import { type Outcome, outcomeOf } from './error-policy.ts'

/** A reconciler whose Seen and Action are its own business. */
export type AnyReconciler = Reconciler<string, unknown, unknown>

export type RunResult =
  /** `effects` are those of the plan's actions, all of which were applied. */
  | { readonly kind: 'planned'; readonly plan: Plan<unknown>; readonly effects: readonly Effect[]; readonly applied: number }
  /** `observed` where it failed after the world was seen: what is shown of it is still kept up by others' looks. */
  | { readonly kind: 'failed'; readonly outcome: Outcome; readonly error: unknown; readonly applied: number; readonly observed: boolean }

/** Invalidates what must be fresh when these are applied; false where nothing must be. */
export type DoubtBefore = (key: string, effects: readonly Effect[]) => boolean

/** One run: observe, plan, apply. Never throws: what was thrown is judged. */
export async function runKey(
  reconciler: AnyReconciler,
  key: string,
  clock: Clock,
  signal: AbortSignal,
  doubtBefore: DoubtBefore = () => false,
): Promise<RunResult> {
  let applied = 0
  let observed = false
  const effectsOf = (plan: Plan<unknown>): readonly Effect[] => plan.actions.map((action) => reconciler.effectOf(action))
  try {
    let plan = reconciler.plan(await reconciler.observe(key, signal), clock.now())
    observed = true
    if (doubtBefore(key, effectsOf(plan))) plan = reconciler.plan(await reconciler.observe(key, signal), clock.now())
    for (const action of plan.actions) {
      await reconciler.apply(action, signal)
      applied += 1
    }
    return { kind: 'planned', plan, effects: effectsOf(plan), applied }
  } catch (error) {
    return { kind: 'failed', outcome: outcomeOf(error, signal.aborted), error, applied, observed }
  }
}
