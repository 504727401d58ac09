import PQueue from 'p-queue'
import type { Clock } from '../../ports/clock.ts'
import { messageOf } from '../../api/error-message.ts'
import type { Log } from '../../ports/log.ts'
import type { Metrics, ReconcileResult } from '../../ports/metrics.ts'
import type { Random } from '../../ports/random.ts'
import { type AnyReconciler, type InvalidateBefore, reconcileOnce, type RunResult } from './reconcile-once.ts'
import type { AgentRecheck } from './agent-recheck.ts'
import { stackOf } from '../stack.ts'
import { type WorkQueue, workQueue } from './work-queue.ts'

/** Consecutive runs with writes before a pause: a plan that never settles must not write as fast as it can. */
const freeActs = 5
const longestActPauseMs = 30_000
/** Consecutive conflicts before the key goes into backoff. */
const freeConflicts = 5

export interface LoopPorts<Key, Began> {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly metrics: Metrics
  readonly concurrency: number
  /** Its result is passed to `onResult` at the end of the run. */
  readonly onStart: (key: Key) => Began
  readonly onResult: (key: Key, began: Began, result: RunResult) => void
  readonly invalidateBefore?: InvalidateBefore<Key>
  /** Awaited before each run, so that timers and sockets get their turn. */
  readonly turn?: () => Promise<void> | undefined
  /** Revalidates plans that depend on answers of agents. */
  readonly agentRecheck?: AgentRecheck
}

/** One reconciler with its queue and workers. */
export interface ReconcileLoop<Key> {
  readonly queue: Pick<WorkQueue<Key>, 'add' | 'addAfter' | 'inBackoff' | 'wake' | 'forget'>
  /** Starts no more runs; resolves once the current ones have ended. */
  stop(): Promise<void>
}

export function reconcileLoop<Key extends string, Began>(
  reconciler: AnyReconciler<Key>,
  ports: LoopPorts<Key, Began>,
  signal: AbortSignal,
): ReconcileLoop<Key> {
  const { name } = reconciler
  const { metrics } = ports
  const pool = new PQueue({ concurrency: ports.concurrency })
  const streaks = new Map<Key, { acts: number; conflicts: number }>()
  const said = new Map<Key, string>()
  const queue = workQueue<Key>(ports.clock, ports.random, {
    onReady: () => void pool.add(work),
    onAdd: () => metrics.queueAdded(name),
    onRetry: () => metrics.queueRetried(name),
    onTake: (waitedMs) => metrics.queueWaited(name, waitedMs / 1000),
    onDone: (workedMs) => metrics.queueWorked(name, workedMs / 1000),
  })
  const idleKeys = ports.agentRecheck?.of(queue)
  metrics.watchQueue(name, ports.concurrency, () => {
    const { depth, workingSinceMs } = queue.state()
    return { depth, workingSeconds: workingSinceMs.map((sinceMs) => (ports.clock.elapsed() - sinceMs) / 1000) }
  })

  async function work(): Promise<void> {
    await ports.turn?.()
    const key = queue.take()
    // Start nothing new during shutdown.
    if (key === undefined || signal.aborted) return
    try {
      await run(key)
    } catch (error) {
      ports.log.error({ controller: name, key, error: stackOf(error) }, 'Unexpected error in a run')
      metrics.panicked(name)
      queue.addFailed(key)
    } finally {
      queue.done(key)
    }
  }

  async function run(key: Key): Promise<void> {
    const beganMs = ports.clock.elapsed()
    idleKeys?.drop(key)
    const began = ports.onStart(key)
    const result = impatient(key, await reconcileOnce(reconciler, key, ports.clock, signal, ports.invalidateBefore))
    const next = follow(key, result)
    if (next === undefined) return
    metrics.reconciled(name, next, (ports.clock.elapsed() - beganMs) / 1000)
    tell(key, result)
    ports.onResult(key, began, result)
  }

  /** After several conflicts in a row it is no longer a race: show it and back off. */
  function impatient(key: Key, result: RunResult): RunResult {
    if (result.kind === 'planned' || result.outcome.kind !== 'again' || (streaks.get(key)?.conflicts ?? 0) < freeConflicts) return result
    return { ...result, outcome: { kind: 'retry', message: messageOf(result.error), bug: false } }
  }

  /** Requeues the key as the outcome says; undefined during shutdown. */
  function follow(key: Key, result: RunResult): ReconcileResult | undefined {
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

  function followPlan(key: Key, result: Extract<RunResult, { kind: 'planned' }>, streak: { acts: number }): ReconcileResult {
    queue.forget(key)
    if (result.applied > 0) {
      streaks.set(key, { acts: streak.acts + 1, conflicts: 0 })
      queue.addAfter(key, streak.acts < freeActs ? 0 : Math.min(100 * 2 ** Math.min(streak.acts - freeActs, 12), longestActPauseMs))
      return 'requeue'
    }
    streaks.delete(key)
    const { next, cachedAnswers } = result.plan
    if (next.kind !== 'requeueAfter' && next.kind !== 'suspended') return 'success'
    queue.addAfter(key, next.ms)
    if (cachedAnswers !== undefined) idleKeys?.hold(key, cachedAnswers, next.ms)
    return 'requeue_after'
  }

  function tell(key: Key, result: RunResult): void {
    if (result.kind === 'planned' && result.applied > 0) {
      ports.log.info({ controller: name, key, actions: result.effects.map(({ kind }) => kind) }, 'Applied')
    }
    if (result.kind === 'planned') return void said.delete(key)
    const { outcome, error } = result
    if (outcome.kind === 'again' || outcome.kind === 'stopped' || said.get(key) === outcome.message) return
    said.set(key, outcome.message)
    if (outcome.kind === 'retry' && outcome.bug)
      ports.log.error({ controller: name, key, error: stackOf(error) }, 'Internal error; retrying')
    else if (outcome.kind === 'retry') ports.log.warn({ controller: name, key, reason: outcome.message }, 'No answer; retrying')
    else if (outcome.kind === 'wait') ports.log.info({ controller: name, key, reason: outcome.message }, 'Waiting')
    else ports.log.info({ controller: name, key, reason: outcome.message }, 'Rejected; waiting for a change')
  }

  return {
    queue,
    async stop() {
      queue.close()
      await pool.onIdle()
    },
  }
}
