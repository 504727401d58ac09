import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { backoffMs } from '../../../src/controller/backoff.ts'
import { type WorkQueue, workQueue } from '../../../src/controller/work-queue.ts'
import { evenRandom, type VirtualClock, virtualClock } from './virtual-clock.ts'

interface Bench {
  readonly clock: VirtualClock
  readonly queue: WorkQueue<string>
  ready: number
}

function bench(): Bench {
  const clock = virtualClock()
  const made: Bench = { clock, ready: 0, queue: workQueue(clock, evenRandom, { onReady: () => void (made.ready += 1) }) }
  return made
}

describe('the work queue', () => {
  it('makes one run of many adds', () => {
    const { queue } = bench()
    queue.add('a')
    queue.add('a')
    queue.add('b')
    expect([queue.take(), queue.take(), queue.take()]).toEqual(['a', 'b', undefined])
  })

  it('runs a key again that was added while it was processed, and not at the same time', () => {
    const { queue } = bench()
    queue.add('a')
    queue.take()
    queue.add('a')
    expect(queue.take()).toBeUndefined()
    queue.done('a')
    expect(queue.take()).toBe('a')
  })

  it('lets the earliest of several delays win', async () => {
    const { queue, clock } = bench()
    queue.addAfter('a', 5_000)
    queue.addAfter('a', 1_000)
    queue.addAfter('a', 9_000)
    await clock.pass(1_000)
    expect(queue.take()).toBe('a')
    queue.done('a')
    await clock.pass(60_000)
    expect(queue.take()).toBeUndefined()
  })

  it('waits longer after each failure, up to five minutes, and starts again after a success', async () => {
    const { queue, clock } = bench()
    const waits: number[] = []
    for (let failure = 0; failure < 12; failure += 1) {
      queue.addFailed('a')
      const from = clock.now()
      while (queue.state().depth === 0) await clock.pass(250)
      waits.push(clock.now() - from)
      queue.take()
      queue.done('a')
    }
    expect(waits).toEqual([...waits].sort((a, b) => a - b))
    expect(waits[0]).toBe(1_000)
    expect(waits.at(-1)).toBe(225_000)
    queue.forget('a')
    queue.addFailed('a')
    await clock.pass(1_000)
    expect(queue.state().depth).toBe(1)
  })

  it('looks at once at what waits in backoff when what was away is back', () => {
    const { queue } = bench()
    queue.addFailed('a')
    queue.addAfter('b', 5_000)
    expect(queue.inBackoff('a')).toBe(true)
    queue.wake()
    expect([queue.take(), queue.take()]).toEqual(['a', undefined])
  })

  it('leaves no timer behind when it is closed', () => {
    const { queue, clock } = bench()
    queue.addAfter('a', 5_000)
    queue.addFailed('b')
    queue.close()
    queue.add('c')
    expect([clock.pending(), queue.state().depth]).toEqual([0, 0])
  })

  it('keeps its jitter between half and the whole of the step', () => {
    const law = (): void =>
      fc.assert(
        fc.property(fc.integer({ min: 1, max: 100 }), fc.double({ min: 0, max: 0.999, noNaN: true }), (failures, drawn) => {
          const step = Math.min(1_000 * 2 ** (failures - 1), 300_000)
          const ms = backoffMs(failures, { ...evenRandom, next: () => drawn })
          return ms >= Math.min(step, Math.max(1_000, step / 2)) && ms <= step
        }),
      )
    expect(law).not.toThrow()
  })
})

/** What client-go promises, written as simply as it can be: a set of keys that are owed a run, and a set that runs. */
interface Model {
  readonly owed: Set<string>
  readonly running: Set<string>
}

class Add implements fc.Command<Model, Bench> {
  readonly key: string
  constructor(key: string) {
    this.key = key
  }
  check = (): boolean => true
  run(model: Model, real: Bench): void {
    real.queue.add(this.key)
    model.owed.add(this.key)
  }
  toString = (): string => `add ${this.key}`
}

class Take implements fc.Command<Model, Bench> {
  check = (): boolean => true
  run(model: Model, real: Bench): void {
    const key = real.queue.take()
    const takeable = [...model.owed].filter((one) => !model.running.has(one))
    if (key === undefined) return expect(takeable).toEqual([])
    expect(takeable).toContain(key)
    model.owed.delete(key)
    model.running.add(key)
  }
  toString = (): string => 'take'
}

class Done implements fc.Command<Model, Bench> {
  check = (model: Readonly<Model>): boolean => model.running.size > 0
  run(model: Model, real: Bench): void {
    const [key = ''] = model.running
    real.queue.done(key)
    model.running.delete(key)
    expect(real.queue.state().depth).toBe([...model.owed].filter((one) => !model.running.has(one)).length)
  }
  toString = (): string => 'done'
}

it('never loses, doubles or overlaps a run, whatever the order of calls', () => {
  const commands = [fc.constantFrom('a', 'b', 'c').map((key) => new Add(key)), fc.constant(new Take()), fc.constant(new Done())]
  const law = (): void =>
    fc.assert(
      fc.property(fc.commands(commands, { maxCommands: 60 }), (run) => {
        fc.modelRun(() => ({ model: { owed: new Set<string>(), running: new Set<string>() }, real: bench() }), run)
      }),
    )
  expect(law).not.toThrow()
})
