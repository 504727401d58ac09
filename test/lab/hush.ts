/** A silent connection that is still open, such as one with a dead peer or a stuck reader. */
import type { Readable, Writable } from 'node:stream'

/** `open` are the streams of events that are open now, `streams` also those to come, and `everything` holds every call as well. */
type Silence = 'open' | 'streams' | 'everything'

export interface Hush {
  /** Nothing of it is read from dockerd or given to the client until `end`. */
  begin(silence: Silence): void
  /** Everything continues, except connections that `open` made silent. */
  end(): void
  /** Every stream ends, as when dockerd does. */
  cut(): void
  /** Events that streams have given to the client. */
  told(): number
}

interface Stream {
  readonly from: Readable
  readonly to: Writable
  isDeaf: boolean
}

export interface HushedProxy extends Hush {
  /** Gives a stream of events to the client, as long as nothing is silent. */
  stream(from: Readable, to: Writable): void
  /** Immediately, or when calls are answered again. */
  whenHeard(go: () => void): void
}

export function hushable(): HushedProxy {
  const streams = new Set<Stream>()
  const held: (() => void)[] = []
  let now: Silence | undefined
  let told = 0

  const pause = ({ from, to }: Stream): void => {
    from.unpipe(to)
    from.pause()
  }

  return {
    begin(silence) {
      now = silence
      for (const one of streams) {
        one.isDeaf ||= silence === 'open'
        pause(one)
      }
    },
    end() {
      now = undefined
      for (const one of streams) if (!one.isDeaf) one.from.pipe(one.to)
      for (const go of held.splice(0)) go()
    },
    cut() {
      for (const one of streams) one.to.destroy()
    },
    told: () => told,
    stream(from, to) {
      const one: Stream = { from, to, isDeaf: false }
      streams.add(one)
      to.once('close', () => streams.delete(one))
      // One line each.
      from.on('data', (chunk: Buffer) => void (told += chunk.filter((byte) => byte === 0x0a).length))
      from.pipe(to)
      if (now === 'streams' || now === 'everything') pause(one)
    },
    whenHeard(go) {
      if (now === 'everything') held.push(go)
      else go()
    },
  }
}
