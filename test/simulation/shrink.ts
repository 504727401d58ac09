import type { Fault } from './faults.ts'
import type { Scenario } from './scenario.ts'
import { type Outcome, simulate } from './simulate.ts'

/** Leaves out faults one by one while the same invariant is still violated: what is left is needed. */
export async function shrink(scenario: Scenario, failed: Outcome): Promise<Outcome> {
  let best = failed
  for (let at = 0; at < best.faults.length; ) {
    const fewer: readonly Fault[] = best.faults.filter((_one, index) => index !== at)
    const outcome = await simulate(scenario, failed.seed, fewer)
    if (outcome.violation?.invariant === failed.violation?.invariant) best = outcome
    else at += 1
  }
  return best
}
