import { expect, test } from 'vitest'
import type { KnownAnswer } from '../../../src/api/wire/unchanged.ts'
import { evidenceBook } from '../../../src/controller/loop/agent-recheck.ts'
import { workQueue } from '../../../src/controller/loop/work-queue.ts'
import type { Agent, Agents } from '../../../src/ports/agents.ts'
import { PortError } from '../../../src/ports/errors.ts'
import type { Evidence } from '../../../src/reconcilers/reconciler.ts'
import { SimulatedAgent } from '../../simulation/simulated-agents.ts'
import { evenRandom, silentLog, virtualClock } from './virtual-clock.ts'

const uid = (digit: number): string => `6f1b3a52-3c1d-4a89-9a53-00000000000${digit}`
const evidence = (nodeId: string, digit: number): Evidence => ({ nodeId, known: { kind: 'vm', uid: uid(digit), mark: 'a'.repeat(32) } })
const lookMs = 10_000

type Answers = (known: readonly KnownAnswer[]) => Promise<readonly number[] | undefined>
const all: Answers = async (known) => [...known.keys()]
const away: Answers = async () => {
  throw new PortError('Unavailable', 'connect ECONNREFUSED')
}

/** Looks at keys as a reconciler's loop does: each look rests on `rests` and is due again ten seconds later. */
class Looks {
  readonly clock = virtualClock()
  /** Each look, as `key@seconds`. */
  readonly seen: string[] = []
  /** How many questions each node was asked at once. */
  readonly asked: string[] = []
  readonly answers = new Map<string, Answers>()
  readonly stopping = new AbortController()
  private readonly rests: ReadonlyMap<string, readonly Evidence[]>
  private readonly queue = workQueue<string>(this.clock, evenRandom, { onReady: () => this.look() })
  private readonly book = evidenceBook(this.agents(), this.clock, silentLog)
  private readonly resting = this.book.of(this.queue)

  constructor(rests: Readonly<Record<string, readonly Evidence[]>>) {
    this.rests = new Map(Object.entries(rests))
    void this.book.run(this.stopping.signal)
    for (const key of this.rests.keys()) this.queue.add(key)
  }

  look(): void {
    const key = this.queue.take() ?? ''
    this.seen.push(`${key}@${this.clock.elapsed() / 1000}`)
    this.resting.drop(key)
    this.queue.done(key)
    this.queue.addAfter(key, lookMs)
    this.resting.hold(key, this.rests.get(key) ?? [], lookMs)
  }

  private agents(): Agents {
    const on = (nodeId: string): Agent => {
      const unchanged: Answers = (known) => {
        this.asked.push(`${nodeId} ${known.length}`)
        return (this.answers.get(nodeId) ?? all)(known)
      }
      return Object.assign(new SimulatedAgent(nodeId), { unchanged })
    }
    return { on }
  }
}

test('what is answered as before is not looked at again, and each node is asked once for all', async () => {
  const looks = new Looks({ a: [evidence('n1', 1), evidence('n2', 1)], b: [evidence('n1', 2)] })
  await looks.clock.pass(60_000)
  expect(looks.seen).toEqual(['a@0', 'b@0'])
  expect(looks.asked.slice(0, 4)).toEqual(['n1 2', 'n2 1', 'n1 2', 'n2 1'])
  expect(looks.asked).toHaveLength(14)
})

test('one whose answer is another is looked at at once, and nobody else is', async () => {
  const looks = new Looks({ a: [evidence('n1', 1)], b: [evidence('n1', 2)] })
  await looks.clock.pass(9_000)
  looks.answers.set('n1', async (known) => (known.length === 2 ? [1] : [0]))
  await looks.clock.pass(8_000)
  expect(looks.seen).toEqual(['a@0', 'b@0', 'a@16'])
})

test('all that a plan rests on must hold: one node of two is not enough', async () => {
  const looks = new Looks({ a: [evidence('n1', 1), evidence('n2', 1)] })
  looks.answers.set('n2', async () => [])
  await looks.clock.pass(8_500)
  expect(looks.seen).toEqual(['a@0', 'a@8'])
})

test('an agent that is silent confirms nothing: its VMs are looked at when they are due, as if nobody had asked', async () => {
  const looks = new Looks({ a: [evidence('n1', 1)], b: [evidence('n2', 2)] })
  looks.answers.set('n1', away)
  await looks.clock.pass(31_000)
  expect(looks.seen).toEqual(['a@0', 'b@0', 'a@10', 'a@20', 'a@30'])
})

test('an agent too old to be asked so is served by single looks', async () => {
  const looks = new Looks({ a: [evidence('n1', 1)] })
  looks.answers.set('n1', async () => undefined)
  await looks.clock.pass(21_000)
  expect(looks.seen).toEqual(['a@0', 'a@10', 'a@20'])
})

test('an agent that takes its time is not asked again meanwhile, and holds up no other', async () => {
  const looks = new Looks({ a: [evidence('n1', 1)], b: [evidence('n2', 2)] })
  looks.answers.set('n1', () => new Promise(() => {}))
  await looks.clock.pass(33_000)
  expect(looks.seen).toEqual(['a@0', 'b@0', 'a@10', 'a@20', 'a@30'])
  expect(looks.asked.filter((one) => one.startsWith('n1'))).toHaveLength(1)
})

test('an answer counts from when it was asked for, and not for a look that began meanwhile', async () => {
  const looks = new Looks({ a: [evidence('n1', 1)] })
  let answer = (_same: readonly number[]): void => undefined
  looks.answers.set('n1', () => new Promise((resolve) => (answer = resolve)))
  await looks.clock.pass(9_500)
  answer([0])
  // Asked at 8 s: due at 18 s.
  await looks.clock.pass(10_000)
  expect(looks.seen).toEqual(['a@0', 'a@18'])
  answer([])
  await looks.clock.pass(5_000)
  expect(looks.seen).toEqual(['a@0', 'a@18'])
})

test('what is due much later is asked about shortly before', async () => {
  const looks = new Looks({ a: [] })
  const book = evidenceBook(
    { on: () => Object.assign(new SimulatedAgent('n1'), { unchanged: async () => (asked += 1) && [0] }) },
    looks.clock,
    silentLog,
  )
  let asked = 0
  const resting = book.of({ add: () => undefined, postpone: () => undefined })
  void book.run(looks.stopping.signal)
  resting.hold('a', [evidence('n1', 1)], 30_000)
  await looks.clock.pass(23_000)
  expect(asked).toBe(0)
  await looks.clock.pass(2_000)
  expect(asked).toBe(1)
  await looks.clock.pass(20_000)
  expect(asked).toBe(1)
})
