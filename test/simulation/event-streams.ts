import type { Clock } from '../../src/ports/clock.ts'
import type { SwarmEvent } from '../../src/ports/swarm.ts'
import type { Life } from './boundary.ts'
import type { Fault } from './faults.ts'
import type { SeededRandom } from './seeded-random.ts'
import { unanswered } from './simulated-dockerd.ts'

interface Stream {
  readonly life: Life
  readonly waiting: SwarmEvent[]
  broken: boolean
  wake: () => void
}

export interface EventStreams {
  publish(event: SwarmEvent): void
  /** Every stream ends with an error, as when the dockerd behind it goes. */
  breakAll(): void
  of(life: Life, signal: AbortSignal | undefined): AsyncIterable<SwarmEvent>
  /** Nothing is said by anybody, and no stream breaks. */
  silent: boolean
  count: number
}

export interface EventStreamPorts {
  readonly time: Clock
  readonly random: SeededRandom
  readonly faults: readonly Fault[]
  readonly onFault: (untilMs: number) => void
  readonly trace: (line: string) => void
}

/** Events are late by a few milliseconds always, and lost, doubled or later where a fault says so. */
export function eventStreams({ time, random, faults, onFault, trace }: EventStreamPorts): EventStreams {
  const streams = new Set<Stream>()
  const fates = new Map(faults.flatMap((one) => (one.kind === 'event' ? [[one.event, one.what] as const] : [])))

  function deliver(event: SwarmEvent, ms: number): void {
    time.after(ms, () => {
      for (const stream of streams) {
        stream.waiting.push(event)
        stream.wake()
      }
    })
  }

  async function* of(life: Life, signal: AbortSignal | undefined): AsyncGenerator<SwarmEvent> {
    const stream: Stream = { life, waiting: [], broken: false, wake: () => undefined }
    streams.add(stream)
    signal?.addEventListener('abort', () => stream.wake(), { once: true })
    try {
      for (;;) {
        if (signal?.aborted === true) return
        const event = stream.waiting.shift()
        if (event !== undefined) yield event
        else if (stream.broken) throw unanswered()
        else await new Promise<void>((resolve) => (stream.wake = resolve))
      }
    } finally {
      streams.delete(stream)
    }
  }

  const made: EventStreams = {
    silent: false,
    count: 0,
    publish(event) {
      for (const stream of streams) if (!stream.life.alive) streams.delete(stream)
      made.count += 1
      const fate = fates.get(made.count)
      if (fate !== undefined) {
        trace(`fault at event ${made.count} ${event.type} ${event.name}: ${fate}`)
        onFault(time.now())
      }
      if (made.silent || fate === 'drop') return
      deliver(event, fate === 'delay' ? 8_000 : random.int(1, 20))
      if (fate === 'double') deliver(event, random.int(1, 500))
    },
    breakAll() {
      for (const stream of streams) {
        stream.broken = true
        stream.wake()
      }
    },
    of,
  }
  return made
}
