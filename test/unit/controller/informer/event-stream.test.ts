import { describe, expect, it } from 'vitest'
import { eventFollower } from '../../../../src/controller/informer/event-stream.ts'
import { PortError } from '../../../../src/ports/errors.ts'
import type { SwarmEvent } from '../../../../src/ports/swarm.ts'
import { evenRandom, silentLog, virtualClock } from '../virtual-clock.ts'

const event: SwarmEvent = { type: 'service', action: 'update', id: 'x', name: 'vm-web' }

interface Stream {
  tell(): void
  fail(): void
  isOpen(): boolean
}

/** A Swarm whose streams tell what a test says, and what the follower made of it. */
function bench() {
  const clock = virtualClock()
  const streams: Stream[] = []
  const keys: string[] = []
  const ended = new AbortController()
  let gaps = 0
  async function* events(signal: AbortSignal): AsyncGenerator<SwarmEvent> {
    const waiting: (SwarmEvent | Error)[] = []
    let wake = (): void => undefined
    let isOpen = true
    const give = (one: SwarmEvent | Error): void => {
      waiting.push(one)
      wake()
    }
    streams.push({ tell: () => give(event), fail: () => give(new PortError('Unavailable', 'the stream ended')), isOpen: () => isOpen })
    signal.addEventListener('abort', () => wake())
    try {
      while (!signal.aborted) {
        const next = waiting.shift()
        if (next instanceof Error) throw next
        if (next !== undefined) yield next
        else await new Promise<void>((resolve) => (wake = resolve))
      }
    } finally {
      isOpen = false
    }
  }
  const follower = eventFollower({
    swarm: { events },
    clock,
    random: evenRandom,
    log: silentLog,
    onEvent: () => true,
    onAffected: (affected) => keys.push(affected.kind === 'vm' ? affected.vm : affected.kind),
    onGap: () => void (gaps += 1),
  })
  const done = follower.run(ended.signal)
  const end = async (): Promise<void> => {
    ended.abort()
    await done
  }
  return { clock, streams, keys, follower, end, gaps: () => gaps, openNow: () => streams.map((one) => one.isOpen()) }
}

describe('the event follower', () => {
  it('maps each event to what it affects', async () => {
    const { clock, streams, keys, end } = bench()
    await clock.pass(0)
    streams[0]?.tell()
    await clock.pass(0)
    expect(keys).toEqual(['web'])
    await end()
  })

  it('reopens a broken stream, and reports a gap', async () => {
    const { clock, streams, end, gaps, openNow } = bench()
    await clock.pass(0)
    streams[0]?.fail()
    await clock.pass(5_000)
    expect([openNow(), gaps()]).toEqual([[false, true], 1])
    await end()
  })

  it('replaces a stream that does not report a change, and closes the old one', async () => {
    const { clock, streams, keys, follower, end, gaps, openNow } = bench()
    await clock.pass(60_000)
    follower.suspect()
    await clock.pass(1_900)
    expect(openNow()).toEqual([true])
    await clock.pass(2_000)
    expect([openNow(), gaps()]).toEqual([[false, true], 1])
    streams[1]?.tell()
    await clock.pass(0)
    expect(keys).toEqual(['web'])
    await end()
  })

  it('keeps a suspected stream that delivers an event soon', async () => {
    const { clock, streams, follower, end, openNow } = bench()
    await clock.pass(60_000)
    follower.suspect()
    await clock.pass(1_000)
    streams[0]?.tell()
    await clock.pass(10_000)
    expect(openNow()).toEqual([true])
    await end()
  })

  it('does not count events from before the suspicion', async () => {
    const { clock, streams, follower, end, openNow } = bench()
    await clock.pass(60_000)
    streams[0]?.tell()
    await clock.pass(500)
    follower.suspect()
    await clock.pass(10_000)
    expect(openNow()).toEqual([false, true])
    await end()
  })

  it('does not close a stream that was opened after the suspicion', async () => {
    const { clock, streams, follower, end, openNow } = bench()
    await clock.pass(60_000)
    follower.suspect()
    streams[0]?.fail()
    await clock.pass(10_000)
    expect(openNow()).toEqual([false, true])
    await end()
  })

  it('cancels its timer when it is stopped', async () => {
    const { clock, follower, end } = bench()
    await clock.pass(0)
    follower.suspect()
    await end()
    expect(clock.pending()).toBe(0)
  })
})
