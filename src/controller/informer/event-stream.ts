import { type Clock, sleep } from '../../ports/clock.ts'
import { messageOf } from '../../ports/errors.ts'
import type { Log } from '../../ports/log.ts'
import type { Random } from '../../ports/random.ts'
import type { Swarm, SwarmEvent } from '../../ports/swarm.ts'
import { backoffMs } from '../loop/backoff.ts'
import { type Hint, hintOf } from './event-to-keys.ts'

export interface EventPorts {
  readonly swarm: Pick<Swarm, 'events'>
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** Before what it hints at is looked at; false where it is no news. */
  readonly onEvent: (event: SwarmEvent) => boolean
  readonly onHint: (hint: Hint) => void
  /** The stream ended, and what happened since is not known: look at everything. */
  readonly onGap: () => void
}

/** Keeps an event stream open. Events are hints: a stream that is broken or silent costs latency and nothing else. */
export interface EventFollower {
  /** Until the signal. */
  run(signal: AbortSignal): Promise<void>
  /**
   * Something happened of which it told nothing. A connection can be dead and open, and dockerd gives up on a stream that is read too slowly: it
   * is opened anew unless an event comes soon, such as those of the repair.
   */
  suspect(): void
}

/** An event of what a list has found may be on its way for so long, and so may those of the repair. What came before proves nothing. */
const lateMs = 2_000

export function eventFollower(ports: EventPorts): EventFollower {
  const { swarm, clock, random, log } = ports
  let heard = 0
  let stream = new AbortController()
  let forgive: (() => void) | undefined

  /** Until the stream ends. */
  async function follow(signal: AbortSignal): Promise<void> {
    for await (const event of swarm.events(signal)) {
      heard += 1
      if (ports.onEvent(event)) ports.onHint(hintOf(event))
    }
  }

  /** Says whether it told anything; what keeps failing is logged once. */
  async function followOne(signal: AbortSignal, isFirst: boolean): Promise<boolean> {
    const before = heard
    stream = new AbortController()
    const { signal: doubted } = stream
    const hasHeard = (): boolean => heard > before
    try {
      await follow(AbortSignal.any([signal, doubted]))
    } catch (error) {
      if (!signal.aborted && !doubted.aborted && (isFirst || hasHeard())) log.warn({ reason: messageOf(error) }, 'The event stream broke')
    }
    if (doubted.aborted) log.warn({}, 'The event stream told nothing of what was changed, and is opened anew')
    return hasHeard()
  }

  return {
    async run(signal) {
      for (let failures = 1; !signal.aborted; failures += 1) {
        if (await followOne(signal, failures === 1)) failures = 1
        if (signal.aborted) break
        await sleep(clock, backoffMs(Math.min(failures, 5), random), signal).catch(() => undefined)
        if (!signal.aborted) ports.onGap()
      }
      forgive?.()
    },
    suspect() {
      if (forgive !== undefined) return
      const [suspected, before] = [stream, heard]
      forgive = clock.after(lateMs, () => {
        forgive = undefined
        if (suspected === stream && heard === before) suspected.abort()
      })
    },
  }
}
