import type { Plan, Reconciler } from '../../reconcilers/reconciler.ts'
import type { Clock } from '../../ports/clock.ts'
import { type Outcome, outcomeOf } from './error-policy.ts'

/** A reconciler whose Seen and Action are its own business. */
export type AnyReconciler = Reconciler<string, unknown, unknown>

export type RunResult =
  | { readonly kind: 'planned'; readonly plan: Plan<unknown>; readonly applied: number }
  /** `observed` where it failed after the world was seen: what is shown of it is still kept up by others' looks. */
  | { readonly kind: 'failed'; readonly outcome: Outcome; readonly error: unknown; readonly applied: number; readonly observed: boolean }

/** Puts in doubt what must not be old when these are carried out; answers whether there is such a thing. */
export type DoubtBefore = (key: string, actions: readonly unknown[]) => boolean

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
  try {
    let plan = reconciler.plan(await reconciler.observe(key, signal), clock.now())
    observed = true
    if (doubtBefore(key, plan.actions)) plan = reconciler.plan(await reconciler.observe(key, signal), clock.now())
    for (const action of plan.actions) {
      await reconciler.apply(action, signal)
      applied += 1
    }
    return { kind: 'planned', plan, applied }
  } catch (error) {
    return { kind: 'failed', outcome: outcomeOf(error, signal.aborted), error, applied, observed }
  }
}
