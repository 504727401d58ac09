import { type Condition, type ConditionDraft, type ConditionOwner, condition, conditionOwners } from '../../api/conditions.ts'
import type { VmName } from '../../api/names.ts'
import type { NicView, VmEvent, VmView } from '../../api/wire/controller-api.ts'
import type { Clock } from '../../ports/clock.ts'
import { rfc3339 } from '../../api/time.ts'
import type { Declaration } from '../../ports/declarations.ts'
import type { Log } from '../../ports/log.ts'
import { phaseOf } from './phase.ts'
import { specView } from './spec-view.ts'
import { foldConditions } from './fold-conditions.ts'
import { actedOn, type Progress, type Report, unknownConditions } from './report.ts'
import { advanceTimeline, type Timeline } from './timeline.ts'
import { timesOf, transitionTimes } from './transition-times.ts'
import type { Times } from './transition-times-config.ts'
import { type EventDraft, newEvents, type ReportedConditions, withEvent } from './vm-events.ts'

interface Held {
  readonly seenAtMs: number
  conditions: readonly Condition[]
  facts: Map<Report['owner'], Readonly<Record<string, string>>>
  nics: readonly NicView[]
  progress: Map<Report['owner'], Progress>
  acted: Map<Report['owner'], string>
  observedGeneration: string
  timeline: Timeline
  events: readonly VmEvent[]
  reported: ReportedConditions
}

/** The status of every VM. Derived from the cluster and kept in memory only. */
export interface StatusStore {
  /** Takes the declaration, and the Valid condition of its source. */
  declared(vm: VmName, declaration: Declaration, valid: ConditionDraft): void
  /** `generation` is the declared one at the start of the run. Returns whether a different task runs than before. */
  report(vm: VmName, generation: string, report: Report): { readonly newTask: boolean }
  /** Records an event that is no change of a condition. */
  note(vm: VmName, event: EventDraft): void
  /** The transition times, for the next controller. */
  times(): Times
  /** Takes the previous controller's transition times, which apply to every status that is still the same. */
  remember(times: Times): void
  progress(vm: VmName): readonly Progress[]
  forget(vm: VmName): void
  view(vm: VmName, declaration: Declaration): VmView
}

/** `onChange` is called with each VM whose view may have changed. */
export function statusStore(clock: Clock, log: Log, onChange: (vm: VmName) => void): StatusStore {
  const vms = new Map<VmName, Held>()
  const past = transitionTimes(clock)

  function held(vm: VmName): Held {
    const found = vms.get(vm)
    if (found !== undefined) return found
    const made = fresh(clock.elapsed())
    vms.set(vm, made)
    return made
  }

  /** Folds the drafts in, and logs and records the changes. */
  function settle(vm: VmName, one: Held, drafts: readonly ConditionDraft[], generation: string): void {
    const before = one.conditions
    const stamp = { observedGeneration: generation, now: rfc3339(clock), since: past.of(vm) }
    one.conditions = foldConditions(one, drafts, stamp)
    one.timeline = advanceTimeline(one.timeline, one.seenAtMs, clock.elapsed(), one.conditions)
    for (const moved of movedConditions(before, one.conditions)) tell(vm, moved)
    const { reported, events } = newEvents(one.reported, one.conditions)
    one.reported = reported
    for (const draft of events) one.events = withEvent(one.events, draft, clock.now())
  }

  function tell(vm: VmName, { type, status, reason, message }: ConditionDraft): void {
    // Leave out messages that quote the manifest, which may contain a secret.
    const said = type === 'Valid' || reason === 'ManifestInvalid' ? '' : message.slice(0, 500)
    log.info({ vm, condition: type, status, reason, said }, 'Condition changed')
  }

  return {
    declared(vm, declaration, valid) {
      // Only runs after the removal can report that the VM is gone.
      if (declaration.kind === 'removed') held(vm).progress.clear()
      settle(vm, held(vm), [valid], generationOf(declaration))
      onChange(vm)
    },
    report(vm, generation, report) {
      const one = held(vm)
      one.progress.set(report.owner, report.progress)
      const before = one.facts.get('services')?.['task']
      if (report.facts !== undefined) one.facts.set(report.owner, report.facts)
      if (report.nics !== undefined) one.nics = report.nics
      if (actedOn(report)) one.acted.set(report.owner, generation)
      if (one.acted.size === 3 && [...one.acted.values()].every((acted) => acted === generation)) one.observedGeneration = generation
      // A condition that the plan leaves out no longer applies.
      if (report.conditions !== undefined) one.conditions = withoutOwned(one.conditions, report.owner, report.conditions)
      settle(vm, one, report.conditions ?? unknownConditions(report), generation)
      onChange(vm)
      const task = one.facts.get('services')?.['task']
      return { newTask: task !== undefined && task !== before }
    },
    note(vm, event) {
      const one = held(vm)
      one.events = withEvent(one.events, event, clock.now())
      onChange(vm)
    },
    times: () => past.with(new Map([...vms].map(([vm, { conditions }]) => [vm, timesOf(conditions)]))),
    remember(times) {
      past.set(times)
      // The sources are read concurrently and may already have set conditions.
      for (const [vm, one] of vms) {
        one.conditions = one.conditions.map((each) => ({
          ...each,
          lastTransitionTime: past.of(vm)(each.type, each.status) ?? each.lastTransitionTime,
        }))
        onChange(vm)
      }
    },
    progress: (vm) => [...(vms.get(vm)?.progress.values() ?? [])],
    forget(vm) {
      vms.delete(vm)
      past.forget(vm)
      onChange(vm)
    },
    view(vm, declaration) {
      const one = vms.get(vm) ?? fresh(clock.elapsed())
      return {
        name: vm,
        phase: phaseOf(declaration, one.conditions),
        declared: declaration.kind,
        generation: generationOf(declaration),
        observedGeneration: one.observedGeneration,
        labels: declaration.kind === 'present' ? declaration.vm.metadata.labels : {},
        ...(declaration.kind === 'present' ? { spec: specView(declaration.vm) } : {}),
        conditions: one.conditions,
        facts: Object.assign({}, ...one.facts.values()) as Record<string, string>,
        nics: one.nics,
        timeline: one.timeline,
        events: one.events,
      }
    },
  }
}

export function generationOf(declaration: Declaration): string {
  return declaration.kind === 'present' ? declaration.generation : ''
}

function fresh(seenAtMs: number): Held {
  return {
    seenAtMs,
    conditions: [],
    facts: new Map(),
    nics: [],
    progress: new Map(),
    acted: new Map(),
    observedGeneration: '',
    timeline: { manifest: 0 },
    events: [],
    reported: new Map(),
  }
}

function withoutOwned(held: readonly Condition[], owner: ConditionOwner, drafts: readonly ConditionDraft[]): readonly Condition[] {
  return held.filter((one) => conditionOwners[one.type] !== owner || drafts.some((draft) => draft.type === one.type))
}

/** The changes to log: a new status or reason, and conditions that ended. Leaves out Reconciling, which changes too often. */
function movedConditions(before: readonly Condition[], after: readonly Condition[]): ConditionDraft[] {
  const was = new Map(before.map((one) => [one.type, one]))
  const is = new Set(after.map((one) => one.type))
  const moved = after.filter((one) => was.get(one.type)?.status !== one.status || was.get(one.type)?.reason !== one.reason)
  const ended = before.filter((one) => !is.has(one.type)).map((one) => condition(one.type, 'False', 'Over', ''))
  return [...moved, ...ended].filter((one) => one.type !== 'Reconciling')
}
