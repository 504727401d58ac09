import { type Condition, type ConditionDraft, condition, readyChecks, type Stamp, stampConditions } from '../../api/conditions.ts'
import { isOffReason } from '../../reconcilers/shared/run-wish.ts'
import { foldReady } from './ready.ts'
import type { Progress, Report } from './report.ts'

/** The status of a VM before the new drafts. */
interface Known {
  readonly conditions: readonly Condition[]
  readonly facts: ReadonlyMap<Report['owner'], Readonly<Record<string, string>>>
  readonly progress: ReadonlyMap<Report['owner'], Progress>
}

/** The conditions of a VM with these drafts, with Ready and with what kstatus reads. Pure. */
export function foldConditions(known: Known, drafts: readonly ConditionDraft[], stamp: Stamp): readonly Condition[] {
  const stamped = stampConditions(known.conditions, drafts, stamp)
  const { observedGeneration, ...ready } = agreed(readyOf(known, stamped), known.conditions, stamped)
  const withReady = stampConditions(stamped, [ready], { ...stamp, observedGeneration })
  return withWhileTrue(withReady, kstatus(known.progress, withReady), stamp)
}

/** Reconcilers run independently: the guest that one of them saw must belong to the task that the other one saw. */
function readyOf({ facts, progress }: Known, conditions: readonly Condition[]): ConditionDraft {
  const ready = foldReady(conditions)
  // A suspended VM may differ from its manifest, and other reconcilers may not have seen the suspension yet.
  const suspended = [...progress.values()].find((one) => one.kind === 'suspended')
  if (suspended !== undefined && ready.status === 'True') return condition('Ready', 'Unknown', 'Suspended', suspended.message)
  const task = facts.get('services')?.['task']
  if (ready.status !== 'True' || task === undefined || task === facts.get('reachability')?.['task']) return ready
  return condition('Ready', 'Unknown', 'TaskReplaced', 'the service has a new task whose guest has not been seen yet')
}

/**
 * Ready gets the generation that all checks have. While they differ, it keeps its previous generation and cannot become True, because runs
 * end in any order and some may have begun before the last edit.
 */
function agreed(ready: ConditionDraft, before: readonly Condition[], stamped: readonly Condition[]): Omit<Condition, 'lastTransitionTime'> {
  const checked = stamped.filter((one) => (readyChecks as readonly string[]).includes(one.type))
  const [first, ...others] = new Set(checked.map((one) => one.observedGeneration))
  if (first !== undefined && others.length === 0) return { ...ready, observedGeneration: first }
  const held = before.find((one) => one.type === 'Ready')
  const isNew = ready.status === 'True' && held?.status !== 'True'
  const said = isNew ? condition('Ready', 'Unknown', 'NotObserved', 'waiting for all checks to run since the last edit') : ready
  return { ...said, observedGeneration: held?.observedGeneration ?? '' }
}

/** Reconciling and Stalled as in kstatus, or Suspended in their place. Present only while True. */
function kstatus(progress: Known['progress'], conditions: readonly Condition[]): ConditionDraft[] {
  const suspended = [...progress.values()].find((one) => one.kind === 'suspended')
  if (suspended !== undefined) return [condition('Suspended', 'True', suspended.reason, suspended.message)]
  const stalled = [...progress.values()].find((one) => one.kind === 'stalled')
  if (stalled !== undefined) return [condition('Stalled', 'True', stalled.reason, stalled.message)]
  const ready = conditions.find((each) => each.type === 'Ready')
  const idle = [...progress.values()].every((one) => one.kind === 'settled') && progress.size > 0
  // A VM that is off as declared needs no work.
  if (ready === undefined || ready.status === 'True' || isOffReason(ready.reason) || idle) return []
  return [condition('Reconciling', 'True', ready.reason, ready.message)]
}

const whileTrue = ['Reconciling', 'Stalled', 'Suspended'] as const satisfies readonly Condition['type'][]

function withWhileTrue(conditions: readonly Condition[], drafts: readonly ConditionDraft[], stamp: Stamp): readonly Condition[] {
  const wanted = new Set(drafts.map((draft) => draft.type))
  const isOver = (type: Condition['type']): boolean => (whileTrue as readonly string[]).includes(type) && !wanted.has(type)
  return stampConditions(
    conditions.filter((one) => !isOver(one.type)),
    drafts,
    stamp,
  )
}
