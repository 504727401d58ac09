import { expect, test } from 'vitest'
import { agentBreaker, silentMs } from '../../../src/controller/loop/agent-breaker.ts'
import { reconcileLoop } from '../../../src/controller/loop/reconcile-loop.ts'
import type { AnyReconciler } from '../../../src/controller/loop/reconcile-once.ts'
import type { Agent, Agents } from '../../../src/ports/agents.ts'
import { sleep } from '../../../src/api/time.ts'
import { PortError } from '../../../src/ports/errors.ts'
import { messageOf } from '../../../src/api/error-message.ts'
import { noMetrics } from '../../simulation/no-metrics.ts'
import { SimulatedAgent } from '../../simulation/simulated-agents.ts'
import { evenRandom, silentLog, virtualClock } from './virtual-clock.ts'
import { aNodeId, aUid, aVmName } from '../../support/branded.ts'

const uid = aUid('6f1b3a52-3c1d-4a89-9a53-000000000001')
const timeoutMs = 10_000

/** n1 hangs until the test ends it; a call to it times out after 10 s. n2 answers. */
function aCluster() {
  const clock = virtualClock()
  const world = { hangs: true, takesMs: 0, calls: 0 }
  const hanging = async (): Promise<never> => {
    world.calls += 1
    if (!world.hangs) {
      await sleep(clock, world.takesMs)
      throw new PortError('NotFound', 'no such VM')
    }
    await sleep(clock, timeoutMs)
    throw new PortError('Unavailable', 'timed out')
  }
  const n1 = Object.assign(new SimulatedAgent('n1'), { vm: hanging, deleteDisks: hanging })
  const raw: Agents = { on: (nodeId) => (nodeId === 'n1' ? n1 : new SimulatedAgent(nodeId)) }
  const agents = agentBreaker(raw, clock)
  const said: string[] = []
  const ask = (agent: Agent = agents.on(aNodeId('n1'))): void =>
    void agent.vm(uid).catch((error: unknown) => said.push(`${clock.elapsed() / 1000} ${messageOf(error)}`))
  return { clock, world, agents, raw, said, ask }
}

/** When each VM was reconciled: forty on the node that hangs, and `other` on one that answers. */
async function looks(agents: (cluster: ReturnType<typeof aCluster>) => Agents): Promise<number[]> {
  const cluster = aCluster()
  const asked = agents(cluster)
  const seen: number[] = []
  const reconciler: AnyReconciler<string> = {
    name: 'reachability',
    async observe(key: string) {
      await asked
        .on(aNodeId(key === 'other' ? 'n2' : 'n1'))
        .vm(uid)
        .catch(() => 'no answer is an answer here')
      if (key === 'other') seen.push(cluster.clock.elapsed())
    },
    plan: () => ({ actions: [], conditions: [], next: { kind: 'requeueAfter', ms: 5_000 } }),
    apply: async () => undefined,
    effectOf: () => ({ kind: 'none', disruptive: false }),
  }
  const fixed = { random: evenRandom, log: silentLog, metrics: noMetrics, onStart: () => undefined, onResult: () => undefined }
  const loop = reconcileLoop(reconciler, { ...fixed, clock: cluster.clock, concurrency: 8 }, new AbortController().signal)
  for (let each = 0; each < 40; each += 1) loop.queue.add(`vm-${each}`)
  loop.queue.add('other')
  await cluster.clock.pass(120_000)
  return seen
}

test('one agent that hangs holds up the VMs of other nodes once, and no longer the more VMs it has', async () => {
  const [first = 0, ...further] = await looks(({ agents }) => agents)
  expect(first).toBeLessThanOrEqual(silentMs)
  const gaps = further.map((at, index) => at - (further[index - 1] ?? first))
  expect(Math.max(...gaps)).toBeLessThanOrEqual(5_001)
})

test('without the breaker they wait for all of its VMs', async () => {
  const [first = 0] = await looks(({ raw }) => raw)
  expect(first).toBeGreaterThan(40_000)
})

test('while an agent is silent one call waits for it, and the others fail at once', async () => {
  const { clock, world, said, ask } = aCluster()
  for (let each = 0; each < 3; each += 1) ask()
  await clock.pass(silentMs)
  expect(said).toEqual(Array.from({ length: 2 }, () => '5 the agent has not answered for 5 s'))
  ask()
  await clock.pass(0)
  expect(said.at(-1)).toBe('5 the agent has not answered for 5 s')
  expect(world.calls).toBe(3)
  await clock.pass(5_000)
  expect(said.at(-1)).toBe('10 timed out')
  ask()
  ask()
  expect(world.calls).toBe(4)
})

test('the first answer ends the silence for all', async () => {
  const { clock, world, said, ask } = aCluster()
  ask()
  await clock.pass(20_000)
  world.hangs = false
  ask()
  await clock.pass(0)
  said.length = 0
  for (let each = 0; each < 3; each += 1) ask()
  await clock.pass(0)
  expect(said).toEqual(Array.from({ length: 3 }, () => '20 no such VM'))
})

test('an agent that answers slowly, and others of its calls meanwhile, is not silent', async () => {
  const { clock, world, said, ask } = aCluster()
  world.hangs = false
  world.takesMs = 4_000
  for (let each = 0; each < 5; each += 1) {
    ask()
    await clock.pass(2_000)
  }
  world.takesMs = 8_000
  ask()
  await clock.pass(8_000)
  expect(said.map((one) => one.split(' ').slice(1).join(' '))).toEqual(Array.from({ length: 6 }, () => 'no such VM'))
})

test('an agent that is away answers nobody, but holds nobody up: it is asked each time', async () => {
  const clock = virtualClock()
  let calls = 0
  const away = async (): Promise<never> => {
    calls += 1
    throw new PortError('Unavailable', 'connect ECONNREFUSED')
  }
  const agents = agentBreaker({ on: () => Object.assign(new SimulatedAgent('n1'), { vm: away }) }, clock)
  for (let each = 0; each < 5; each += 1) await expect(agents.on(aNodeId('n1')).vm(uid)).rejects.toThrow('ECONNREFUSED')
  expect(calls).toBe(5)
})

test('a deletion of disks that takes long opens nothing', async () => {
  const { clock, said, ask, agents, world } = aCluster()
  void agents
    .on(aNodeId('n1'))
    .deleteDisks({ version: 1, uid, vm: aVmName('web'), cluster: 'lab' })
    .catch((error: unknown) => said.push(messageOf(error)))
  await clock.pass(9_000)
  world.hangs = false
  ask()
  await clock.pass(0)
  expect(said).toEqual(['9 no such VM'])
})
