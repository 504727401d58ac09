import { expect, test } from 'vitest'
import type { KnownAnswer } from '../../../src/api/wire/unchanged.ts'
import { agentRecheck } from '../../../src/controller/loop/agent-recheck.ts'
import { workQueue } from '../../../src/controller/loop/work-queue.ts'
import type { Agent, Agents } from '../../../src/ports/agents.ts'
import { PortError } from '../../../src/ports/errors.ts'
import type { CachedAnswer } from '../../../src/reconcilers/reconciler.ts'
import { SimulatedAgent } from '../../simulation/simulated-agents.ts'
import { evenRandom, silentLog, virtualClock } from './virtual-clock.ts'
import { aNodeId, aUid } from '../../support/branded.ts'
import type { NodeId, VmUid } from '../../../src/api/names.ts'

const uid = (digit: number): VmUid => aUid(`6f1b3a52-3c1d-4a89-9a53-00000000000${digit}`)
const answer = (nodeId: string, digit: number): CachedAnswer => ({
  nodeId: aNodeId(nodeId),
  known: { kind: 'vm', uid: uid(digit), mark: 'a'.repeat(32) },
})
const requeueAfterMs = 10_000

type Answers = (known: readonly KnownAnswer[]) => Promise<readonly number[] | undefined>
const all: Answers = async (known) => [...known.keys()]
const away: Answers = async () => {
  throw new PortError('Unavailable', 'connect ECONNREFUSED')
}

/** Reconciles keys as a reconcile loop does. Each run depends on the cached answers of its key, and is due again after ten seconds. */
class Runs {
  readonly clock = virtualClock()
  /** Each run, as `key@seconds`. */
  readonly seen: string[] = []
  /** The number of answers that each request revalidated. */
  readonly asked: string[] = []
  readonly answers = new Map<string, Answers>()
  readonly stopping = new AbortController()
  private readonly cached: ReadonlyMap<string, readonly CachedAnswer[]>
  private readonly queue = workQueue<string>(this.clock, evenRandom, { onReady: () => this.run() })
  private readonly recheck = agentRecheck(this.agents(), this.clock, silentLog)
  private readonly idleKeys = this.recheck.of(this.queue)

  constructor(cached: Readonly<Record<string, readonly CachedAnswer[]>>) {
    this.cached = new Map(Object.entries(cached))
    void this.recheck.run(this.stopping.signal)
    for (const key of this.cached.keys()) this.queue.add(key)
  }

  run(): void {
    const key = this.queue.take() ?? ''
    this.seen.push(`${key}@${this.clock.elapsed() / 1000}`)
    this.idleKeys.drop(key)
    this.queue.done(key)
    this.queue.addAfter(key, requeueAfterMs)
    this.idleKeys.hold(key, this.cached.get(key) ?? [], requeueAfterMs)
  }

  private agents(): Agents {
    const on = (nodeId: NodeId): Agent => {
      const unchanged: Answers = (known) => {
        this.asked.push(`${nodeId} ${known.length}`)
        return (this.answers.get(nodeId) ?? all)(known)
      }
      return Object.assign(new SimulatedAgent(nodeId), { unchanged })
    }
    return { on }
  }
}

test('a key with unchanged answers is not reconciled, and each node gets one request for all keys', async () => {
  const runs = new Runs({ a: [answer('n1', 1), answer('n2', 1)], b: [answer('n1', 2)] })
  await runs.clock.pass(60_000)
  expect(runs.seen).toEqual(['a@0', 'b@0'])
  expect(runs.asked.slice(0, 4)).toEqual(['n1 2', 'n2 1', 'n1 2', 'n2 1'])
  expect(runs.asked).toHaveLength(14)
})

test('only the key whose answer changed is reconciled, at once', async () => {
  const runs = new Runs({ a: [answer('n1', 1)], b: [answer('n1', 2)] })
  await runs.clock.pass(9_000)
  runs.answers.set('n1', async (known) => (known.length === 2 ? [1] : [0]))
  await runs.clock.pass(8_000)
  expect(runs.seen).toEqual(['a@0', 'b@0', 'a@16'])
})

test('all answers of a key must be confirmed: one node of two is not enough', async () => {
  const runs = new Runs({ a: [answer('n1', 1), answer('n2', 1)] })
  runs.answers.set('n2', async () => [])
  await runs.clock.pass(8_500)
  expect(runs.seen).toEqual(['a@0', 'a@8'])
})

test('without an answer the keys of an agent are reconciled when they are due', async () => {
  const runs = new Runs({ a: [answer('n1', 1)], b: [answer('n2', 2)] })
  runs.answers.set('n1', away)
  await runs.clock.pass(31_000)
  expect(runs.seen).toEqual(['a@0', 'b@0', 'a@10', 'a@20', 'a@30'])
})

test('an agent of release 0.1 confirms nothing, so its keys are reconciled when they are due', async () => {
  const runs = new Runs({ a: [answer('n1', 1)] })
  runs.answers.set('n1', async () => undefined)
  await runs.clock.pass(21_000)
  expect(runs.seen).toEqual(['a@0', 'a@10', 'a@20'])
})

test('a slow agent gets no second request and delays no other agent', async () => {
  const runs = new Runs({ a: [answer('n1', 1)], b: [answer('n2', 2)] })
  runs.answers.set('n1', () => new Promise(() => {}))
  await runs.clock.pass(33_000)
  expect(runs.seen).toEqual(['a@0', 'b@0', 'a@10', 'a@20', 'a@30'])
  expect(runs.asked.filter((one) => one.startsWith('n1'))).toHaveLength(1)
})

test('the new delay starts when the request was sent, and an answer for an earlier run is ignored', async () => {
  const runs = new Runs({ a: [answer('n1', 1)] })
  let send = (_same: readonly number[]): void => undefined
  runs.answers.set('n1', () => new Promise((resolve) => (send = resolve)))
  await runs.clock.pass(9_500)
  send([0])
  // Asked at 8 s: due at 18 s.
  await runs.clock.pass(10_000)
  expect(runs.seen).toEqual(['a@0', 'a@18'])
  send([])
  await runs.clock.pass(5_000)
  expect(runs.seen).toEqual(['a@0', 'a@18'])
})

test('a key that is due much later is revalidated shortly before', async () => {
  const runs = new Runs({ a: [] })
  const recheck = agentRecheck(
    { on: () => Object.assign(new SimulatedAgent('n1'), { unchanged: async () => (asked += 1) && [0] }) },
    runs.clock,
    silentLog,
  )
  let asked = 0
  const idleKeys = recheck.of({ add: () => undefined, postpone: () => undefined })
  void recheck.run(runs.stopping.signal)
  idleKeys.hold('a', [answer('n1', 1)], 30_000)
  await runs.clock.pass(23_000)
  expect(asked).toBe(0)
  await runs.clock.pass(2_000)
  expect(asked).toBe(1)
  await runs.clock.pass(20_000)
  expect(asked).toBe(1)
})
