import { type ConditionDraft, type Condition, condition, readyChecks } from '../../api/conditions.ts'

type Held = Pick<Condition, 'type' | 'status' | 'reason' | 'message'>

/** Ready is True if all checks are. Otherwise it has the status, reason and message of the first one that is not. */
export function foldReady(conditions: readonly Held[]): ConditionDraft {
  for (const type of readyChecks) {
    const check = conditions.find((one) => one.type === type)
    if (check === undefined) return condition('Ready', 'Unknown', 'NotObserved', `${type} has not been observed yet`)
    if (check.status === 'True') continue
    const message = check.message === '' ? type : `${type}: ${check.message}`
    return condition('Ready', check.status, check.reason, message)
  }
  return condition('Ready', 'True', 'Ready', 'all checks pass')
}
