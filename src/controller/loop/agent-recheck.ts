import type { Agents } from '../../ports/agents.ts'
import type { Clock } from '../../ports/clock.ts'
import { sleep } from '../../api/time.ts'
import { messageOf } from '../../api/error-message.ts'
import type { Log } from '../../ports/log.ts'
import type { CachedAnswer } from '../../reconcilers/reconciler.ts'
import type { WorkQueue } from './work-queue.ts'
import type { NodeId } from '../../api/names.ts'

/** Shorter than the delay of any plan with cached answers, minus the time that an agent may need to answer. */
const roundMs = 8_000
/** A key that is due later than this after a round waits for the next round. */
const aheadMs = roundMs + 2_000

type IdleQueue = Pick<WorkQueue<string>, 'add' | 'postpone'>

/** An idle key whose plan depends on answers of agents. */
interface IdleKey {
  readonly queue: IdleQueue
  readonly key: string
  readonly cachedAnswers: readonly CachedAnswer[]
  /** The delay in the plan. */
  readonly ms: number
  /** By `Clock.elapsed`. */
  dueMs: number
}

/** The idle keys of one reconciler. */
interface IdleKeys {
  /** Call after a run whose plan depends on these answers and is due again after `ms`. */
  hold(key: string, cachedAnswers: readonly CachedAnswer[], ms: number): void
  /** Call when a run begins, which makes its own observation. */
  drop(key: string): void
}

export interface AgentRecheck {
  of(queue: IdleQueue): IdleKeys
  /** Revalidates until the signal. */
  run(signal: AbortSignal): Promise<void>
}

/**
 * Revalidates the cached answers behind idle keys, with one request per node for all keys. A confirmed key restarts its delay, and a
 * changed one is reconciled now. Without an answer the key is reconciled when it is due.
 */
export function agentRecheck(agents: Agents, clock: Clock, log: Log): AgentRecheck {
  const idle = new Set<IdleKey>()
  const asking = new Set<string>()

  function round(signal: AbortSignal): void {
    const beganMs = clock.elapsed()
    const due = [...idle].filter((one) => one.dueMs - beganMs <= aheadMs)
    const pending = new Map(due.map((one) => [one, one.cachedAnswers.length]))
    const questions = due.flatMap((one) => one.cachedAnswers.map((answer) => ({ one, answer })))
    for (const [nodeId, some] of Map.groupBy(questions, ({ answer }) => answer.nodeId)) {
      // A slow node must not delay the others.
      void revalidate(nodeId, some, signal).then((same) => {
        if (same !== undefined) for (const [place, { one }] of some.entries()) judge(one, same.has(place), pending, beganMs)
      })
    }
  }

  function judge(one: IdleKey, isSame: boolean, pending: Map<IdleKey, number>, beganMs: number): void {
    // A run has begun in the meantime and makes its own observation.
    if (!idle.has(one)) return
    if (!isSame) return one.queue.add(one.key)
    const left = (pending.get(one) ?? 0) - 1
    pending.set(one, left)
    if (left > 0) return
    one.dueMs = beganMs + one.ms
    one.queue.postpone(one.key, one.dueMs - clock.elapsed())
  }

  /** Undefined without an answer, or while the previous request is still pending. */
  async function revalidate(
    nodeId: NodeId,
    questions: readonly { readonly answer: CachedAnswer }[],
    signal: AbortSignal,
  ): Promise<ReadonlySet<number> | undefined> {
    if (asking.has(nodeId)) return undefined
    asking.add(nodeId)
    try {
      const same = await agents.on(nodeId).unchanged(
        questions.map(({ answer }) => answer.known),
        signal,
      )
      return same === undefined ? undefined : new Set(same)
    } catch (error) {
      if (!signal.aborted) log.debug({ node: nodeId, reason: messageOf(error) }, 'Cannot revalidate the answers of a node')
      return undefined
    } finally {
      asking.delete(nodeId)
    }
  }

  return {
    of(queue) {
      const byKey = new Map<string, IdleKey>()
      const drop = (key: string): void => {
        const one = byKey.get(key)
        if (one !== undefined) idle.delete(one)
        byKey.delete(key)
      }
      return {
        drop,
        hold(key, cachedAnswers, ms) {
          drop(key)
          const one = { queue, key, cachedAnswers, ms, dueMs: clock.elapsed() + ms }
          byKey.set(key, one)
          idle.add(one)
        },
      }
    },
    async run(signal) {
      while (!signal.aborted) {
        await sleep(clock, roundMs, signal).catch(() => undefined)
        if (!signal.aborted) round(signal)
      }
    },
  }
}
