import type { Clock } from '../../ports/clock.ts'
import { sleep } from '../../api/time.ts'
import { messageOf } from '../../api/error-message.ts'
import type { Log } from '../../ports/log.ts'
import type { Random } from '../../ports/random.ts'
import type { Swarm, SwarmEvent } from '../../ports/swarm.ts'
import { backoffMs } from '../loop/backoff.ts'
import { type Affected, affectedBy } from './event-to-keys.ts'

export interface EventPorts {
  readonly swarm: Pick<Swarm, 'events'>
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** Called first. Returns false if the change of this event is already known. */
  readonly onEvent: (event: SwarmEvent) => boolean
  readonly onAffected: (affected: Affected) => void
  /** The stream ended and events may be lost, so everything is reconciled again. */
  readonly onGap: () => void
}

/** Keeps an event stream open. A broken or silent stream only costs latency. */
export interface EventFollower {
  /** Runs until the signal is aborted. */
  run(signal: AbortSignal): Promise<void>
  /**
   * Call when a list found a change that the stream did not report: a connection can be dead although it is open, and dockerd drops a reader that
   * is too slow. Reconnects unless an event arrives soon. The controller corrects such a change, and that write causes an event too.
   */
  suspect(): void
}

/** An event can arrive this long after a list already contained its change. */
const lateMs = 2_000

export function eventFollower(ports: EventPorts): EventFollower {
  const { swarm, clock, random, log } = ports
  let received = 0
  let stream = new AbortController()
  let cancelCheck: (() => void) | undefined

  /** Resolves when the stream ends. */
  async function follow(signal: AbortSignal): Promise<void> {
    for await (const event of swarm.events(signal)) {
      received += 1
      if (ports.onEvent(event)) ports.onAffected(affectedBy(event))
    }
  }

  /** Returns whether the stream delivered anything. Repeated failures are logged once. */
  async function followOne(signal: AbortSignal, isFirst: boolean): Promise<boolean> {
    const before = received
    stream = new AbortController()
    const { signal: suspected } = stream
    const hasReceived = (): boolean => received > before
    try {
      await follow(AbortSignal.any([signal, suspected]))
    } catch (error) {
      if (!signal.aborted && !suspected.aborted && (isFirst || hasReceived()))
        log.warn({ reason: messageOf(error) }, 'The event stream broke')
    }
    if (suspected.aborted) log.warn({}, 'The event stream did not report a change, and is opened again')
    return hasReceived()
  }

  return {
    async run(signal) {
      for (let failures = 1; !signal.aborted; failures += 1) {
        if (await followOne(signal, failures === 1)) failures = 1
        if (signal.aborted) break
        await sleep(clock, backoffMs(Math.min(failures, 5), random), signal).catch(() => undefined)
        if (!signal.aborted) ports.onGap()
      }
      cancelCheck?.()
    },
    suspect() {
      if (cancelCheck !== undefined) return
      const [suspected, before] = [stream, received]
      cancelCheck = clock.after(lateMs, () => {
        cancelCheck = undefined
        if (suspected === stream && received === before) suspected.abort()
      })
    },
  }
}
