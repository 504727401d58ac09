import { type ConditionDraft, type Condition, condition, readyRungs } from '../../api/conditions.ts'

type Held = Pick<Condition, 'type' | 'status' | 'reason' | 'message'>

/** Ready is True when every rung is; else it says why the first rung that is not True is not, in that rung's words. */
export function foldReady(conditions: readonly Held[]): ConditionDraft {
  for (const type of readyRungs) {
    const rung = conditions.find((one) => one.type === type)
    if (rung === undefined) return condition('Ready', 'Unknown', 'NotObserved', `${type} has not been observed yet`)
    if (rung.status === 'True') continue
    const message = rung.message === '' ? type : `${type}: ${rung.message}`
    return condition('Ready', rung.status, rung.reason, message)
  }
  return condition('Ready', 'True', 'Ready', 'every step up to the readiness probe holds')
}
