import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { backoffMs } from '../../../src/controller/loop/backoff.ts'
import { type WorkQueue, workQueue } from '../../../src/controller/loop/work-queue.ts'
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
  it('runs a key once for many adds', () => {
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
    expect(waits[0]).toBe(1_250)
    expect(waits.at(-1)).toBe(250_000)
    queue.forget('a')
    queue.addFailed('a')
    await clock.pass(1_250)
    expect(queue.state().depth).toBe(1)
  })

  it('runs the keys in backoff at once when an unavailable peer is back', () => {
    const { queue } = bench()
    queue.addFailed('a')
    queue.addAfter('b', 5_000)
    expect(queue.inBackoff('a')).toBe(true)
    queue.wake()
    expect([queue.take(), queue.take()]).toEqual(['a', undefined])
  })

  it('cancels its timers when it is closed', () => {
    const { queue, clock } = bench()
    queue.addAfter('a', 5_000)
    queue.addFailed('b')
    queue.close()
    queue.add('c')
    expect([clock.pending(), queue.state().depth]).toEqual([0, 0])
  })

  it.each([3_600_000, -3_600_000])('lets the earliest delay win where the date is set by %d ms meanwhile', async (jumpMs) => {
    const { queue, clock } = bench()
    queue.addAfter('a', 60_000)
    queue.addAfter('b', 1_000)
    clock.jump(jumpMs)
    queue.addAfter('a', 1_000)
    queue.addAfter('b', 60_000)
    await clock.pass(1_000)
    expect(new Set([queue.take(), queue.take()])).toEqual(new Set(['a', 'b']))
  })

  it('waits one to one and a half times the step of its failure, between a second and five minutes', () => {
    const law = (): void =>
      fc.assert(
        fc.property(fc.integer({ min: 1, max: 100 }), fc.double({ min: 0, max: 0.999, noNaN: true }), (failures, drawn) => {
          const step = Math.min(1_000 * 2 ** (failures - 1), 200_000)
          const ms = backoffMs(failures, { ...evenRandom, next: () => drawn })
          return ms >= step && ms <= 1.5 * step
        }),
      )
    expect(law).not.toThrow()
  })

  it('spreads the retries of keys that failed together, also after the first failure', () => {
    const drawn = [0.1, 0.9].map((next) => backoffMs(1, { ...evenRandom, next: () => next }))
    expect(new Set(drawn).size).toBe(2)
  })
})

/** A simple model of client-go's queue: keys that are due now, keys that are due at a time, and running keys. */
interface Model {
  readonly owed: Set<string>
  readonly running: Set<string>
  readonly due: Map<string, number>
  nowMs: number
}

/** The date is set before each: no span may depend on it. */
class AddAfter implements fc.AsyncCommand<Model, Bench> {
  readonly key: string
  readonly ms: number
  readonly jumpMs: number
  constructor(key: string, ms: number, jumpMs: number) {
    this.key = key
    this.ms = ms
    this.jumpMs = jumpMs
  }
  check = (): boolean => true
  async run(model: Model, real: Bench): Promise<void> {
    real.clock.jump(this.jumpMs)
    real.queue.addAfter(this.key, this.ms)
    model.due.set(this.key, Math.min(model.due.get(this.key) ?? Number.POSITIVE_INFINITY, model.nowMs + this.ms))
  }
  toString = (): string => `add ${this.key} after ${this.ms}, with the date set by ${this.jumpMs}`
}

class Pass implements fc.AsyncCommand<Model, Bench> {
  readonly ms: number
  constructor(ms: number) {
    this.ms = ms
  }
  check = (): boolean => true
  async run(model: Model, real: Bench): Promise<void> {
    await real.clock.pass(this.ms)
    model.nowMs += this.ms
    for (const [key, dueMs] of model.due) {
      if (dueMs > model.nowMs) continue
      model.due.delete(key)
      model.owed.add(key)
    }
    expect(real.queue.state().depth).toBe([...model.owed].filter((one) => !model.running.has(one)).length)
  }
  toString = (): string => `pass ${this.ms}`
}

class Add implements fc.AsyncCommand<Model, Bench> {
  readonly key: string
  constructor(key: string) {
    this.key = key
  }
  check = (): boolean => true
  async run(model: Model, real: Bench): Promise<void> {
    real.queue.add(this.key)
    model.owed.add(this.key)
  }
  toString = (): string => `add ${this.key}`
}

class Take implements fc.AsyncCommand<Model, Bench> {
  check = (): boolean => true
  async run(model: Model, real: Bench): Promise<void> {
    const key = real.queue.take()
    const takeable = [...model.owed].filter((one) => !model.running.has(one))
    if (key === undefined) {
      expect(takeable).toEqual([])
      return
    }
    expect(takeable).toContain(key)
    model.owed.delete(key)
    model.due.delete(key)
    model.running.add(key)
  }
  toString = (): string => 'take'
}

class Done implements fc.AsyncCommand<Model, Bench> {
  check = (model: Readonly<Model>): boolean => model.running.size > 0
  async run(model: Model, real: Bench): Promise<void> {
    const [key = ''] = model.running
    real.queue.done(key)
    model.running.delete(key)
    expect(real.queue.state().depth).toBe([...model.owed].filter((one) => !model.running.has(one)).length)
  }
  toString = (): string => 'done'
}

it('never loses, doubles, delays or overlaps a run, whatever the order of calls', async () => {
  const key = fc.constantFrom('a', 'b', 'c')
  const ms = fc.integer({ min: 0, max: 10_000 })
  const commands = [
    key.map((one) => new Add(one)),
    fc.tuple(key, ms, fc.integer({ min: -100_000, max: 100_000 })).map((each) => new AddAfter(...each)),
    ms.map((one) => new Pass(one)),
    fc.constant(new Take()),
    fc.constant(new Done()),
  ]
  const fresh = (): Model => ({ owed: new Set(), running: new Set(), due: new Map(), nowMs: 0 })
  const law = fc.assert(
    fc.asyncProperty(fc.commands(commands, { maxCommands: 60 }), (run) => fc.asyncModelRun(() => ({ model: fresh(), real: bench() }), run)),
  )
  await expect(law).resolves.toBeUndefined()
})
