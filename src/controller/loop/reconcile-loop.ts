import PQueue from 'p-queue'
import type { Clock } from '../../ports/clock.ts'
import { messageOf } from '../../ports/errors.ts'
import type { Log } from '../../ports/log.ts'
import type { Metrics, ReconcileResult } from '../../ports/metrics.ts'
import type { Random } from '../../ports/random.ts'
import { type AnyReconciler, type DoubtBefore, runKey, type RunResult } from './reconcile-once.ts'
import type { EvidenceBook } from './agent-recheck.ts'
import { stackOf } from '../stack.ts'
import { type WorkQueue, workQueue } from './work-queue.ts'

/** Runs that wrote something, one after the other, before a pause: a plan that is never satisfied must not write as fast as it can. */
const freeActs = 5
const longestActPauseMs = 30_000
/** Conflicts in a row before the key waits for its backoff. */
const freeConflicts = 5

export interface LoopPorts<Began> {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly metrics: Metrics
  readonly concurrency: number
  /** What was so when a run began, given back to `onResult`. */
  readonly onStart: (key: string) => Began
  readonly onResult: (key: string, began: Began, result: RunResult) => void
  readonly doubtBefore?: DoubtBefore
  /** What to wait for before a run, so that others are heard. */
  readonly turn?: () => Promise<void> | undefined
  /** Asks for plans that rest on answers of agents. */
  readonly evidence?: EvidenceBook
}

/** One reconciler with its queue and its workers. */
export interface ReconcileLoop {
  readonly queue: Pick<WorkQueue<string>, 'add' | 'addAfter' | 'inBackoff' | 'wake' | 'forget'>
  /** No further runs; resolves when those under way have ended. */
  stop(): Promise<void>
}

export function reconcileLoop<Began>(reconciler: AnyReconciler, ports: LoopPorts<Began>, signal: AbortSignal): ReconcileLoop {
  const { name } = reconciler
  const { metrics } = ports
  const pool = new PQueue({ concurrency: ports.concurrency })
  const streaks = new Map<string, { acts: number; conflicts: number }>()
  const said = new Map<string, string>()
  const queue = workQueue<string>(ports.clock, ports.random, {
    onReady: () => void pool.add(work),
    onAdd: () => metrics.queueAdded(name),
    onRetry: () => metrics.queueRetried(name),
    onTake: (waitedMs) => metrics.queueWaited(name, waitedMs / 1000),
    onDone: (workedMs) => metrics.queueWorked(name, workedMs / 1000),
  })
  const resting = ports.evidence?.of(queue)
  metrics.watchQueue(name, ports.concurrency, () => {
    const { depth, workingSinceMs } = queue.state()
    return { depth, workingSeconds: workingSinceMs.map((sinceMs) => (ports.clock.elapsed() - sinceMs) / 1000) }
  })

  async function work(): Promise<void> {
    await ports.turn?.()
    const key = queue.take()
    // Nothing new is begun while we are being stopped.
    if (key === undefined || signal.aborted) return
    try {
      await run(key)
    } catch (error) {
      ports.log.error({ controller: name, key, error: stackOf(error) }, 'A run ended in a way it must not')
      metrics.panicked(name)
      queue.addFailed(key)
    } finally {
      queue.done(key)
    }
  }

  async function run(key: string): Promise<void> {
    const beganMs = ports.clock.elapsed()
    resting?.drop(key)
    const began = ports.onStart(key)
    const result = impatient(key, await runKey(reconciler, key, ports.clock, signal, ports.doubtBefore))
    const next = follow(key, result)
    if (next === undefined) return
    metrics.reconciled(name, next, (ports.clock.elapsed() - beganMs) / 1000)
    tell(key, result)
    ports.onResult(key, began, result)
  }

  /** What moves under us again and again is not a race any more: it is shown, and waits for its backoff. */
  function impatient(key: string, result: RunResult): RunResult {
    if (result.kind === 'planned' || result.outcome.kind !== 'again' || (streaks.get(key)?.conflicts ?? 0) < freeConflicts) return result
    return { ...result, outcome: { kind: 'retry', message: messageOf(result.error), bug: false } }
  }

  /** Puts the key back as the outcome asks; undefined where we are being stopped. */
  function follow(key: string, result: RunResult): ReconcileResult | undefined {
    const streak = streaks.get(key) ?? { acts: 0, conflicts: 0 }
    if (result.kind === 'planned') return followPlan(key, result, streak)
    const { outcome } = result
    switch (outcome.kind) {
      case 'stopped':
        return undefined
      case 'again':
        streaks.set(key, { ...streak, conflicts: streak.conflicts + 1 })
        queue.addAfter(key, outcome.ms * (1 + ports.random.next()))
        return 'requeue'
      case 'retry':
        queue.addFailed(key)
        return 'error'
      case 'wait':
        queue.forget(key)
        queue.addAfter(key, outcome.ms)
        return 'requeue_after'
      case 'stalled':
        metrics.refused(name)
        return 'error'
      default:
        return outcome satisfies never
    }
  }

  function followPlan(key: string, result: Extract<RunResult, { kind: 'planned' }>, streak: { acts: number }): ReconcileResult {
    queue.forget(key)
    if (result.applied > 0) {
      streaks.set(key, { acts: streak.acts + 1, conflicts: 0 })
      queue.addAfter(key, streak.acts < freeActs ? 0 : Math.min(100 * 2 ** Math.min(streak.acts - freeActs, 12), longestActPauseMs))
      return 'requeue'
    }
    streaks.delete(key)
    const { next, evidence } = result.plan
    if (next.kind !== 'requeueAfter' && next.kind !== 'suspended') return 'success'
    queue.addAfter(key, next.ms)
    if (evidence !== undefined) resting?.hold(key, evidence, next.ms)
    return 'requeue_after'
  }

  function tell(key: string, result: RunResult): void {
    if (result.kind === 'planned' && result.applied > 0) {
      ports.log.info({ controller: name, key, actions: result.effects.map(({ kind }) => kind) }, 'Applied')
    }
    if (result.kind === 'planned') return void said.delete(key)
    const { outcome, error } = result
    if (outcome.kind === 'again' || outcome.kind === 'stopped' || said.get(key) === outcome.message) return
    said.set(key, outcome.message)
    if (outcome.kind === 'retry' && outcome.bug)
      ports.log.error({ controller: name, key, error: stackOf(error) }, 'Internal error, tried again')
    else if (outcome.kind === 'retry') ports.log.warn({ controller: name, key, reason: outcome.message }, 'No answer, tried again')
    else if (outcome.kind === 'wait') ports.log.info({ controller: name, key, reason: outcome.message }, 'Waiting')
    else ports.log.info({ controller: name, key, reason: outcome.message }, 'Refused, waiting for a change')
  }

  return {
    queue,
    async stop() {
      queue.close()
      await pool.onIdle()
    },
  }
}
