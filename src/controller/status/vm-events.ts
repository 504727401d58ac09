import { type Condition, type ConditionType, condition, readyChecks } from '../../api/conditions.ts'
import type { VmEvent } from '../../api/wire/controller-api.ts'

/** An event without time and count. */
export type EventDraft = Omit<VmEvent, 'time' | 'count' | 'firstTime'>

const dayMs = 86_400_000
/** This many are kept at any age. */
const keptAlways = 200
/** 1,000 VMs with so many events take 71 MiB with messages of 100 characters, and 156 MiB with the longest. A VM that runs well has some 30. */
const keptAtMost = 300
const longestMessage = 400
/** A repetition within this time is counted and adds no event. */
const repeatMs = 3_600_000

/** Adds an event. A repeated one is counted and moved to the end. Pure. */
export function withEvent(held: readonly VmEvent[], draft: EventDraft, nowMs: number): readonly VmEvent[] {
  const { message } = draft
  const short = { ...draft, message: message.length > longestMessage ? `${message.slice(0, longestMessage - 1)}…` : message }
  const at = held.findLastIndex((one) => isSame(one, short))
  const before = held[at]
  const time = new Date(nowMs).toISOString()
  if (before === undefined || nowMs - Date.parse(before.time) > repeatMs) return kept([...held, { time, ...short }], nowMs)
  const counted = { time, ...short, count: (before.count ?? 1) + 1, firstTime: before.firstTime ?? before.time }
  return kept([...held.toSpliced(at, 1), counted], nowMs)
}

/** Ignores the message of a condition, which contains times and numbers. Other events only differ in their message. */
function isSame(one: EventDraft, other: EventDraft): boolean {
  const isAlike = one.type === other.type && one.status === other.status && one.reason === other.reason
  return isAlike && (one.status !== '' || one.message === other.message)
}

function kept(events: readonly VmEvent[], nowMs: number): readonly VmEvent[] {
  const firstYoung = events.findIndex((one) => nowMs - Date.parse(one.time) <= dayMs)
  const old = firstYoung < 0 ? events.length : firstYoung
  return events.slice(Math.max(events.length - keptAtMost, Math.min(old, events.length - keptAlways), 0))
}

/** The last recorded event of each condition. `Ready` stands for the first failing check. */
export type ReportedConditions = ReadonlyMap<ConditionType, string>

/**
 * The events in these conditions: the first failing check or its reason changed, or another condition became True or ended. A condition
 * that is only Unknown because of another one is no event. Pure.
 */
export function newEvents(
  reported: ReportedConditions,
  conditions: readonly Condition[],
): { readonly reported: ReportedConditions; readonly events: readonly EventDraft[] } {
  const next = new Map(reported)
  const events: EventDraft[] = []
  const report = (key: ConditionType, one: EventDraft): void => {
    const text = `${one.type} ${one.status} ${one.reason}`
    if (next.get(key) === text) return
    next.set(key, text)
    events.push(one)
  }
  const blocking = firstFailing(conditions)
  if (blocking !== undefined) report('Ready', blocking)
  for (const one of conditions.filter(({ type }) => !checks.has(type) && type !== 'Reconciling')) {
    const wasTrue = reported.get(one.type)?.includes(' True ') === true
    if (one.status === 'True' || (one.status === 'False' && wasTrue)) report(one.type, draftOf(one))
  }
  for (const type of ['Stalled', 'Suspended'] as const) {
    const isOver = next.get(type)?.includes(' True ') === true && conditions.every((one) => one.type !== type)
    if (isOver) report(type, condition(type, 'False', 'Over', ''))
  }
  return { reported: next, events }
}

const checks: ReadonlySet<string> = new Set([...readyChecks, 'Ready'])

/** Undefined until every check has run. */
function firstFailing(conditions: readonly Condition[]): EventDraft | undefined {
  const ready = conditions.find(({ type }) => type === 'Ready')
  if (ready === undefined || ready.reason === 'NotObserved') return undefined
  const checked = readyChecks.map((type) => conditions.find((one) => one.type === type))
  const first = checked.find((one) => one?.status !== 'True')
  return draftOf(first?.status === ready.status && first.reason === ready.reason ? first : ready)
}

function draftOf({ type, status, reason, message }: Condition): EventDraft {
  return { type, status, reason, message }
}
