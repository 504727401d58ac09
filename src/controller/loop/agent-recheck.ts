import type { Agents } from '../../ports/agents.ts'
import { type Clock, sleep } from '../../ports/clock.ts'
import { messageOf } from '../../ports/errors.ts'
import type { Log } from '../../ports/log.ts'
import type { Evidence } from '../../reconcilers/reconciler.ts'
import type { WorkQueue } from './work-queue.ts'

/** Shorter than the delay of any plan with evidence, minus the time that an agent may need to answer. */
const roundMs = 8_000
/** A key that is due later than this after a round waits for the next round. */
const aheadMs = roundMs + 2_000

type IdleQueue = Pick<WorkQueue<string>, 'add' | 'postpone'>

/** An idle key whose plan depends on answers of agents. */
interface IdleKey {
  readonly queue: IdleQueue
  readonly key: string
  readonly evidence: readonly Evidence[]
  /** The delay in the plan. */
  readonly ms: number
  /** By `Clock.elapsed`. */
  dueMs: number
}

/** The idle keys of one reconciler. */
interface IdleKeys {
  /** Call after a run whose plan depends on this evidence and is due again after `ms`. */
  hold(key: string, evidence: readonly Evidence[], ms: number): void
  /** Call when a run begins, which makes its own observation. */
  drop(key: string): void
}

export interface EvidenceBook {
  of(queue: IdleQueue): IdleKeys
  /** Revalidates until the signal. */
  run(signal: AbortSignal): Promise<void>
}

/**
 * Revalidates the evidence of idle keys, with one request per node for all keys. A confirmed key restarts its delay, and a changed one is
 * reconciled now. Without an answer the key is reconciled when it is due.
 */
export function evidenceBook(agents: Agents, clock: Clock, log: Log): EvidenceBook {
  const rests = new Set<IdleKey>()
  const asking = new Set<string>()

  function round(signal: AbortSignal): void {
    const beganMs = clock.elapsed()
    const due = [...rests].filter((rest) => rest.dueMs - beganMs <= aheadMs)
    const pending = new Map(due.map((rest) => [rest, rest.evidence.length]))
    const asked = due.flatMap((rest) => rest.evidence.map((evidence) => ({ rest, evidence })))
    for (const [nodeId, some] of Map.groupBy(asked, ({ evidence }) => evidence.nodeId)) {
      // A slow node must not delay the others.
      void ask(nodeId, some, signal).then((same) => {
        if (same !== undefined) for (const [place, { rest }] of some.entries()) judge(rest, same.has(place), pending, beganMs)
      })
    }
  }

  function judge(rest: IdleKey, isSame: boolean, pending: Map<IdleKey, number>, beganMs: number): void {
    // A run has begun in the meantime and makes its own observation.
    if (!rests.has(rest)) return
    if (!isSame) return rest.queue.add(rest.key)
    const left = (pending.get(rest) ?? 0) - 1
    pending.set(rest, left)
    if (left > 0) return
    rest.dueMs = beganMs + rest.ms
    rest.queue.postpone(rest.key, rest.dueMs - clock.elapsed())
  }

  /** Undefined without an answer, or while the previous request is still pending. */
  async function ask(
    nodeId: string,
    asked: readonly { readonly evidence: Evidence }[],
    signal: AbortSignal,
  ): Promise<ReadonlySet<number> | undefined> {
    if (asking.has(nodeId)) return undefined
    asking.add(nodeId)
    try {
      const same = await agents.on(nodeId).unchanged(
        asked.map(({ evidence }) => evidence.known),
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
      const held = new Map<string, IdleKey>()
      const drop = (key: string): void => {
        const rest = held.get(key)
        if (rest !== undefined) rests.delete(rest)
        held.delete(key)
      }
      return {
        drop,
        hold(key, evidence, ms) {
          drop(key)
          const rest = { queue, key, evidence, ms, dueMs: clock.elapsed() + ms }
          held.set(key, rest)
          rests.add(rest)
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
