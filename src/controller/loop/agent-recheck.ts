import type { Agents } from '../../ports/agents.ts'
import { type Clock, sleep } from '../../ports/clock.ts'
import { messageOf } from '../../ports/errors.ts'
import type { Log } from '../../ports/log.ts'
import type { Evidence } from '../../reconcilers/reconciler.ts'
import type { WorkQueue } from './work-queue.ts'

/** Less than any plan with evidence waits, by what an agent may take for its answer. */
const roundMs = 8_000
/** What is due no sooner than this after a round is left to the next one. */
const aheadMs = roundMs + 2_000

type RestingQueue = Pick<WorkQueue<string>, 'add' | 'postpone'>

/** One key whose plan rests on answers of agents. */
interface Rest {
  readonly queue: RestingQueue
  readonly key: string
  readonly evidence: readonly Evidence[]
  /** From one look to the next, by the plan. */
  readonly ms: number
  /** By `Clock.elapsed`. */
  dueMs: number
}

/** The keys of one reconciler that rest on answers of agents. */
interface Resting {
  /** A run of the key ended with a plan that rests on these, and its next look is due after `ms`. */
  hold(key: string, evidence: readonly Evidence[], ms: number): void
  /** A run begins: it finds out for itself. */
  drop(key: string): void
}

export interface EvidenceBook {
  of(queue: RestingQueue): Resting
  /** Asks until the signal. */
  run(signal: AbortSignal): Promise<void>
}

/**
 * Asks each node once for all keys whether what they rest on still holds. Who is answered yes waits anew, who is answered no is looked at now.
 * Who is not answered is looked at when it is due, as if nobody had been asked: nothing rests for longer than its plan says without an answer.
 */
export function evidenceBook(agents: Agents, clock: Clock, log: Log): EvidenceBook {
  const rests = new Set<Rest>()
  const asking = new Set<string>()

  function round(signal: AbortSignal): void {
    const beganMs = clock.elapsed()
    const due = [...rests].filter((rest) => rest.dueMs - beganMs <= aheadMs)
    const pending = new Map(due.map((rest) => [rest, rest.evidence.length]))
    const asked = due.flatMap((rest) => rest.evidence.map((evidence) => ({ rest, evidence })))
    for (const [nodeId, some] of Map.groupBy(asked, ({ evidence }) => evidence.nodeId)) {
      // Who is slow is waited for by nobody else.
      void ask(nodeId, some, signal).then((same) => {
        if (same !== undefined) for (const [place, { rest }] of some.entries()) judge(rest, same.has(place), pending, beganMs)
      })
    }
  }

  function judge(rest: Rest, isSame: boolean, pending: Map<Rest, number>, beganMs: number): void {
    // A run that began meanwhile found out for itself.
    if (!rests.has(rest)) return
    if (!isSame) return rest.queue.add(rest.key)
    const left = (pending.get(rest) ?? 0) - 1
    pending.set(rest, left)
    if (left > 0) return
    rest.dueMs = beganMs + rest.ms
    rest.queue.postpone(rest.key, rest.dueMs - clock.elapsed())
  }

  /** Undefined where there is no answer, or where the one before it is still waited for. */
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
      if (!signal.aborted) log.debug({ node: nodeId, reason: messageOf(error) }, 'A node did not say what is unchanged')
      return undefined
    } finally {
      asking.delete(nodeId)
    }
  }

  return {
    of(queue) {
      const held = new Map<string, Rest>()
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
