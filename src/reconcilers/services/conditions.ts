import { type ConditionDraft, condition } from '../../api/conditions.ts'
import { managedBy, objectLabels } from '../../api/labels.ts'
import { describeEdits, newInstanceHint } from '../../api/manifest/edits.ts'
import { serviceName, type VmName } from '../../api/names.ts'
import type { SwarmTask } from '../../ports/swarm.ts'
import { drained } from '../shared/away.ts'
import { currentTask, isLive, isOfEarlierTemplate } from '../shared/vm-service.ts'
import type { Context } from './context.ts'
import type { Decision } from './decide.ts'
import { whyUnprepared } from './fit.ts'
import type { ServicesSeen } from './observe.ts'

export function nameOwned(vm: VmName): ConditionDraft {
  return condition('Owned', 'True', 'Owned', `${serviceName(vm)} carries ${objectLabels.managedBy}=${managedBy}`)
}

export function nameFree(): ConditionDraft {
  return condition('Owned', 'True', 'NoService', 'there is no service yet, and the name is free')
}

export function upToDate(): ConditionDraft {
  return condition('RestartRequired', 'False', 'UpToDate', 'the running VM matches its manifest')
}

/** A task leaves `new` in well under a second, unless its network has no address left. */
const stuckInNewMs = 10_000
/** How long an earlier failure still explains why a task is not running. */
const recentMs = 60_000

/**
 * ServiceReady: Swarm reports a running task, or no task for a VM with runStrategy Halted. The service of a halted VM is ready, but the VM
 * is not: GuestRunning and Ready are False with reason Halted.
 */
export function serviceReady(seen: ServicesSeen, replicas: 0 | 1, nowMs: number): ConditionDraft {
  const { tasks, owned } = seen
  if (replicas === 0) {
    const live = tasks.filter(isLive)
    if (live.length === 0) return condition('ServiceReady', 'True', 'Halted', 'scaled to 0, as the manifest says')
    const tasksLeft = live.length === 1 ? '1 task' : `${live.length} tasks`
    return condition('ServiceReady', 'False', 'Stopping', `shutting down; ${tasksLeft} still ${live[0]?.state ?? ''}`)
  }
  const task = currentTask(tasks)
  if (task !== undefined && owned.kind !== 'absent' && isOfEarlierTemplate(task, owned.service)) {
    const message = `Swarm has not yet replaced task ${task.id}, which runs the previous template`
    return condition('ServiceReady', 'False', 'TaskStarting', `${message}; see: docker service ps --no-trunc ${serviceName(seen.vm)}`)
  }
  if (task?.state === 'running') return condition('ServiceReady', 'True', 'TaskRunning', `task ${task.id} is running`)
  // Swarm's own message only says that no node is suitable.
  if (seen.node?.availability === 'drain') return condition('ServiceReady', 'False', 'NodeDrained', drained(seen.node))
  const { reason, message } = explain(task, tasks, nowMs)
  return condition('ServiceReady', 'False', reason, `${message}; see: docker service ps --no-trunc ${serviceName(seen.vm)}`)
}

interface Explanation {
  readonly reason: string
  readonly message: string
}

function explain(task: SwarmTask | undefined, tasks: readonly SwarmTask[], nowMs: number): Explanation {
  const failure = lastFailure(tasks, nowMs)
  if (task === undefined) return failure ?? { reason: 'NoTask', message: 'Swarm has not created a task yet' }
  const own = isLive(task) ? explainLive(task, nowMs) : (asFailure(task) ?? { reason: 'TaskEnded', message: `the task is ${task.state}` })
  // Swarm keeps retrying, so after a failure the newest task is always just starting.
  if (failure !== undefined && own.reason === 'TaskStarting')
    return { reason: failure.reason, message: `${own.message}; before that, ${failure.message}` }
  return own
}

function explainLive(task: SwarmTask, nowMs: number): Explanation {
  const said = task.error || task.message
  if (task.state === 'new') {
    const stuck = nowMs - Date.parse(task.updatedAt) > stuckInNewMs && task.error === ''
    const hint = 'Swarm has not allocated the task: the guests network probably has no address left; see docker network inspect'
    return { reason: stuck ? 'TaskStuckInNew' : 'TaskPending', message: stuck ? hint : said || 'the task is new' }
  }
  if (task.state === 'pending') return { reason: 'TaskPending', message: said || 'waiting for a node' }
  return { reason: 'TaskStarting', message: `the task is ${task.state}${said === '' || said === task.state ? '' : ` (${said})`}` }
}

function lastFailure(tasks: readonly SwarmTask[], nowMs: number): Explanation | undefined {
  const failed = tasks.filter((one) => asFailure(one) !== undefined && nowMs - Date.parse(one.updatedAt) < recentMs)
  const newest = failed.toSorted((a, b) => Date.parse(b.updatedAt) - Date.parse(a.updatedAt))[0]
  return newest === undefined ? undefined : asFailure(newest)
}

function asFailure(task: SwarmTask): Explanation | undefined {
  const said = task.error || task.message
  if (task.state === 'rejected') return { reason: 'TaskRejected', message: `a node rejected the task: ${said}` }
  if (task.state !== 'failed') return undefined
  const code = task.exitCode === undefined ? '' : `, exit code ${task.exitCode}`
  return { reason: 'TaskFailed', message: `the task failed: ${said}${code}` }
}

/** ServiceReady once the decision is applied. */
export function readiness(context: Context, decision: Decision): ConditionDraft {
  const { seen, replicas, replicasNow, check, previousUnfit, nowMs } = context
  if (decision.kind === 'write' && replicas > 0) return updating(decision)
  if (replicas > replicasNow) {
    if (seen.portConflict !== undefined) return condition('ServiceReady', 'False', 'PortTaken', seen.portConflict)
    const why = whyUnprepared(seen, check) ?? previousUnfit ?? ''
    return condition('ServiceReady', 'False', 'WaitingForAssets', why)
  }
  return decision.kind === 'restore' && replicas > 0 ? updating(decision) : serviceReady(seen, replicas, nowMs)
}

/** The running task is about to be replaced, so it does not make the service ready. */
function updating({ why }: Pick<Decision, 'why'>): ConditionDraft {
  return condition('ServiceReady', 'False', 'Updating', why)
}

function isPending(decision: Decision): boolean {
  return decision.kind === 'restore' || (decision.kind === 'leave' && decision.pending)
}

/** Maximum characters of the list of edits; `docker vm plan` shows all. */
const longestList = 1_000

export function restartRequired({ seen, edits, check }: Context, decision: Decision): ConditionDraft {
  if (!isPending(decision)) return upToDate()
  const what = describeEdits(edits ?? []).slice(0, longestList) || 'the manifest was edited since the VM started'
  const unfit = decision.kind === 'write' ? undefined : decision.unfit
  const how = `docker service update --force ${serviceName(seen.vm)}, or runStrategy: Halted and back`
  const isWaiting = check === 'unchecked' && unfit === whyUnprepared(seen, check)
  const next = unfit === undefined ? `to apply it: ${how}` : `${isWaiting ? 'waiting' : 'it could not start again'}: ${unfit}`
  const hint = newInstanceHint(edits ?? [])
  return condition('RestartRequired', 'True', 'SpecChanged', [what, next, ...(hint === undefined ? [] : [hint])].join('; '))
}
