import { type ConditionDraft, type ConditionOwner, condition, conditionOwners, readyChecks } from '../../api/conditions.ts'
import type { NicView } from '../../api/wire/controller-api.ts'
import type { Declaration } from '../../ports/declarations.ts'
import type { RunResult } from '../loop/reconcile-once.ts'

/** The report of one run of one reconciler about a VM. */
export interface Report {
  readonly owner: Extract<ConditionOwner, 'assets' | 'services' | 'reachability'>
  /** Undefined if nothing was learned: its conditions stay, or become Unknown with `unknown`. */
  readonly conditions: readonly ConditionDraft[] | undefined
  /** Why its conditions are Unknown now. */
  readonly unknown?: { readonly reason: string; readonly message: string }
  readonly facts: Readonly<Record<string, string>> | undefined
  readonly nics?: readonly NicView[] | undefined
  readonly progress: Progress
}

export type Progress =
  | { readonly kind: 'settled' }
  | { readonly kind: 'waiting' }
  | { readonly kind: 'acting' }
  | { readonly kind: 'suspended'; readonly reason: string; readonly message: string }
  | { readonly kind: 'stalled'; readonly reason: string; readonly message: string }
  | { readonly kind: 'retrying' }

/** The report of a run about its VM; undefined if there is nothing to report. */
export function reportOf(owner: Report['owner'], result: RunResult, declared: Declaration['kind']): Report | undefined {
  if (result.kind === 'planned') return isSilent(result) ? undefined : plannedReport(owner, result, declared)
  const nothing = { owner, conditions: undefined, facts: undefined }
  const { outcome, observed } = result
  switch (outcome.kind) {
    case 'again':
    case 'stopped':
      return undefined
    case 'wait':
    case 'retry':
      return { ...nothing, progress: { kind: 'retrying' }, unknown: { reason: 'Retrying', message: outcome.message } }
    case 'stalled': {
      const { reason, message } = outcome
      // After a rejected write the observation is still valid; after a rejected read there is none.
      return { ...nothing, progress: { kind: 'stalled', reason, message }, ...(observed ? {} : { unknown: { reason, message } }) }
    }
    default:
      return outcome satisfies never
  }
}

/** The run that follows the actions at once has the conditions. */
function isSilent({ plan, applied }: Extract<RunResult, { kind: 'planned' }>): boolean {
  return applied > 0 && plan.conditions.length === 0
}

function plannedReport(
  owner: Report['owner'],
  { plan, applied }: Extract<RunResult, { kind: 'planned' }>,
  declared: Declaration['kind'],
): Report {
  // While it is unknown whether a VM is declared, the last observation stays.
  const untouched = declared === 'unknown' && plan.conditions.length === 0
  const told = untouched
    ? { owner, conditions: undefined, facts: undefined }
    : { owner, conditions: plan.conditions, facts: plan.facts ?? {}, nics: plan.nics }
  if (applied > 0) return { ...told, progress: { kind: 'acting' } }
  const { next } = plan
  switch (next.kind) {
    case 'settled':
      return { ...told, progress: { kind: 'settled' } }
    case 'requeueAfter':
      return { ...told, progress: { kind: 'waiting' } }
    case 'suspended':
      return { ...told, progress: { kind: 'suspended', reason: next.reason, message: next.message } }
    case 'stalled':
      return { ...told, progress: { kind: 'stalled', reason: next.reason, message: next.message } }
    default:
      return next satisfies never
  }
}

/** True if the reconciler has nothing left to write for this generation: it settled, stalled, or waits with all its checks True. */
export function actedOn({ owner, progress, conditions }: Report): boolean {
  if (progress.kind === 'settled' || progress.kind === 'stalled') return true
  if (progress.kind !== 'waiting') return false
  return (
    owner === 'reachability' ||
    (conditions ?? []).every((one) => one.status === 'True' || !(readyChecks as readonly string[]).includes(one.type))
  )
}

/** Without an answer this reconciler's conditions become Unknown. Other failures leave them unchanged. */
export function unknownConditions({ owner, unknown }: Report): ConditionDraft[] {
  if (unknown === undefined) return []
  // The others only exist while they apply, so a failure must not create them.
  const owned = (Object.keys(conditionOwners) as (keyof typeof conditionOwners)[]).filter((type) => conditionOwners[type] === owner)
  const lasting = owned.filter(
    (type) =>
      type !== 'RestartRequired' &&
      type !== 'SoftwareEmulation' &&
      type !== 'NetworkFallback' &&
      type !== 'LinkUnfiltered' &&
      type !== 'LinkDegraded',
  )
  return lasting.map((type) => condition(type, 'Unknown', unknown.reason, unknown.message))
}
