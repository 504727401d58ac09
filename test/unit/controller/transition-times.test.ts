import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { type ConditionStatus, condition } from '../../../src/api/conditions.ts'
import { persistTransitionTimes } from '../../../src/controller/status/persist-transition-times.ts'
import { type StatusStore, statusStore } from '../../../src/controller/status/store.ts'
import { parseTimes } from '../../../src/controller/status/transition-times-config.ts'
import { PortError } from '../../../src/ports/errors.ts'
import { aVm } from '../../simulation/cluster.ts'
import { SimulatedSwarm } from '../../simulation/simulated-swarm.ts'
import { silentLog, type VirtualClock, virtualClock } from './virtual-clock.ts'
import { aVmName } from '../../support/branded.ts'

const present = aVm('web')

/** One controller after the other, on one Swarm. */
class Reign {
  readonly status: StatusStore
  readonly #ended: Promise<void>
  readonly #stopping = new AbortController()

  constructor(swarm: SimulatedSwarm, clock: VirtualClock) {
    this.status = statusStore(clock, silentLog, () => undefined)
    const { status } = this
    this.#ended = persistTransitionTimes({ swarm, clock, log: silentLog, cluster: 'lab', status }, this.#stopping.signal)
  }

  say(status: ConditionStatus, name = 'web'): void {
    const vm = aVmName(name)
    this.status.declared(vm, present, condition('Valid', 'True', 'Accepted', ''))
    const conditions = [condition('Reachable', status, 'Said', '')]
    this.status.report(vm, present.generation, { owner: 'reachability', conditions, facts: undefined, progress: { kind: 'waiting' } })
  }

  since(type = 'Reachable', name = 'web'): string | undefined {
    return this.status.view(aVmName(name), present).conditions.find((one) => one.type === type)?.lastTransitionTime
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error('stopped'))
    await this.#ended
  }
}

function bench() {
  const clock = virtualClock(Date.parse('2026-01-01T00:00:00Z'))
  const swarm = new SimulatedSwarm(() => clock.now())
  const begin = async (): Promise<Reign> => {
    const made = new Reign(swarm, clock)
    await clock.pass(0)
    return made
  }
  return { clock, swarm, begin, configs: () => [...swarm.configs.values()].map((one) => one.name) }
}

/** On this Swarm a controller said True at the first moment, and was stopped so much later. */
async function afterOne(ms: number): Promise<ReturnType<typeof bench>> {
  const made = bench()
  const first = await made.begin()
  first.say('True')
  await made.clock.pass(ms)
  await first.stop()
  return made
}

test('a status that is still the same does not begin with the next controller', async () => {
  const { begin } = await afterOne(60_000)
  const second = await begin()
  second.say('True')
  expect([second.since(), second.since('Valid')]).toEqual(['2026-01-01T00:00:00.000Z', '2026-01-01T00:00:00.000Z'])
})

test('nor where the next controller has not seen it yet at first', async () => {
  const { clock, begin } = await afterOne(60_000)
  const second = await begin()
  second.say('Unknown')
  expect(second.since()).toBe('2026-01-01T00:01:00.000Z')
  await clock.pass(10_000)
  second.say('True')
  expect(second.since()).toBe('2026-01-01T00:00:00.000Z')
})

test('a status that changed meanwhile gets the time of the controller that saw it, and so does one that returns later', async () => {
  const { clock, begin } = await afterOne(60_000)
  const second = await begin()
  second.say('False')
  expect(second.since()).toBe('2026-01-01T00:01:00.000Z')
  await clock.pass(10_000)
  second.say('True')
  expect(second.since()).toBe('2026-01-01T00:01:10.000Z')
})

test('what was not known for minutes after a start is dated when it is known again', async () => {
  const { clock, begin } = await afterOne(0)
  const second = await begin()
  second.say('Unknown')
  await clock.pass(300_001)
  second.say('True')
  expect(second.since()).toBe('2026-01-01T00:05:00.001Z')
})

test('a controller that is stopped before it has looked forgets nothing for the one after it', async () => {
  const { begin } = await afterOne(1_000)
  const second = await begin()
  second.say('Unknown')
  await second.stop()
  const third = await begin()
  await third.stop()
  const last = await begin()
  last.say('True')
  expect(last.since()).toBe('2026-01-01T00:00:00.000Z')
})

test('after a crash only changes since the last stop get a new time', async () => {
  const { clock, begin } = await afterOne(0)
  const crashed = await begin()
  crashed.say('True')
  crashed.say('True', 'db')
  await clock.pass(60_000)
  const last = await begin()
  last.say('True')
  last.say('True', 'db')
  expect([last.since(), last.since('Reachable', 'db')]).toEqual(['2026-01-01T00:00:00.000Z', '2026-01-01T00:01:00.000Z'])
})

test('nothing is written before the stop, nor then if nothing changed, and there is one config at a time', async () => {
  const { clock, swarm, begin, configs } = bench()
  const first = await begin()
  first.say('True')
  await clock.pass(3_600_000)
  expect(configs()).toEqual([])
  await first.stop()
  expect(configs()).toHaveLength(1)
  const { writes } = swarm
  const second = await begin()
  second.say('True')
  await second.stop()
  expect(swarm.writes).toBe(writes)
  const third = await begin()
  third.say('False')
  await third.stop()
  expect(configs()).toHaveLength(1)
})

test('a config of somebody else with this label is neither read nor removed', async () => {
  const { swarm, begin, configs } = bench()
  await swarm.createConfig('theirs', { 'swarmvirt.component': 'status-times', 'swarmvirt.cluster': 'lab' }, new TextEncoder().encode('x'))
  await swarm.createConfig(
    'broken',
    { 'swarmvirt.managed-by': 'swarmvirt', 'swarmvirt.component': 'status-times', 'swarmvirt.cluster': 'other' },
    new Uint8Array([1]),
  )
  const first = await begin()
  first.say('True')
  await first.stop()
  expect(
    configs()
      .toSorted((a, b) => (a < b ? -1 : 1))
      .slice(0, 2),
  ).toEqual(['broken', expect.stringMatching(/^sv-times-[0-9a-f]{32}$/)])
  expect(configs()).toContain('theirs')
})

test('what cannot be read is passed over', async () => {
  const { swarm, begin } = bench()
  const labels = { 'swarmvirt.managed-by': 'swarmvirt', 'swarmvirt.component': 'status-times', 'swarmvirt.cluster': 'lab' }
  await swarm.createConfig('sv-times-0', labels, new TextEncoder().encode('{}'))
  const first = await begin()
  first.say('True')
  expect(first.since()).toBe('2026-01-01T00:00:00.000Z')
  await first.stop()
})

test('it is read as soon as Docker answers, and what was said until then is set right', async () => {
  const { clock, swarm, begin } = await afterOne(60_000)
  const list = swarm.listConfigs.bind(swarm)
  swarm.listConfigs = () => Promise.reject(new PortError('Unavailable', 'no leader'))
  const second = await begin()
  second.say('True')
  expect(second.since()).toBe('2026-01-01T00:01:00.000Z')
  swarm.listConfigs = list
  await clock.pass(2_000)
  expect(second.since()).toBe('2026-01-01T00:00:00.000Z')
})

test('a controller that could not read the times does not overwrite them', async () => {
  const { swarm, begin } = await afterOne(60_000)
  const list = swarm.listConfigs.bind(swarm)
  // At the start, and once more when it is stopped.
  let failing = 2
  swarm.listConfigs = (label) => (failing-- > 0 ? Promise.reject(new PortError('Unavailable', 'no leader')) : list(label))
  const second = await begin()
  second.say('Unknown')
  await second.stop()
  const third = await begin()
  third.say('True')
  expect(third.since()).toBe('2026-01-01T00:00:00.000Z')
})

test('a name that no VM can have is not read', () => {
  const said = { Reachable: ['True', '2026-01-01T00:00:00Z'] }
  const data = gzipSync(JSON.stringify({ version: 1, takenAtMs: 1, vms: { web: said, '../web': said } }))
  expect([...parseTimes([data]).keys()]).toEqual(['web'])
})

test('a removed VM of the same name starts over', async () => {
  const { clock, begin } = await afterOne(1_000)
  const second = await begin()
  second.say('Unknown')
  second.status.forget(aVmName('web'))
  await clock.pass(1_000)
  second.say('True')
  expect(second.since()).toBe('2026-01-01T00:00:02.000Z')
})
