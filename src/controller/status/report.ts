import type { Declaration } from '../../ports/declarations.ts'
import type { Report } from './store.ts'
import type { RunResult } from '../loop/reconcile-once.ts'

/** The report of a run about its VM; undefined if there is nothing to report. */
export function reportOf(owner: Report['owner'], result: RunResult, declared: Declaration['kind']): Report | undefined {
  if (result.kind === 'planned') return plannedReport(owner, result, declared)
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

function plannedReport(
  owner: Report['owner'],
  { plan, applied }: Extract<RunResult, { kind: 'planned' }>,
  declared: Declaration['kind'],
): Report {
  // While it is unknown whether a VM is declared, the last observation stays.
  const untouched = declared === 'unknown' && plan.conditions.length === 0
  const told = untouched
    ? { owner, conditions: undefined, facts: undefined }
    : { owner, conditions: plan.conditions, facts: plan.facts ?? {} }
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
