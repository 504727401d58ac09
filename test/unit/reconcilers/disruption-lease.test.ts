import { describe, expect, test } from 'vitest'
import type { VmName } from '../../../src/api/names.ts'
import type { Declaration } from '../../../src/ports/declarations.ts'
import { PortError } from '../../../src/ports/errors.ts'
import { assetsReconciler } from '../../../src/reconcilers/assets/index.ts'
import { nodesReconciler } from '../../../src/reconcilers/nodes/index.ts'
import { servicesReconciler } from '../../../src/reconcilers/services/index.ts'
import { type DisruptionLease, disruptionLease, type LeaseSeen } from '../../../src/reconcilers/shared/disruption-lease.ts'
import { aVm, Cluster, type SpecChanges } from '../../simulation/cluster.ts'
import { SimulatedSwarm } from '../../simulation/simulated-swarm.ts'
import { silentLog, virtualClock } from '../controller/virtual-clock.ts'

const name = 'sv-lease-lab'

function aSwarm() {
  const clock = virtualClock()
  const swarm = new SimulatedSwarm(() => clock.now())
  const controllerOf = (id: string): DisruptionLease => disruptionLease({ swarm, recent: swarm, clock, log: silentLog, cluster: 'lab', id })
  return { clock, swarm, a: controllerOf('a'), b: controllerOf('b'), controllerOf }
}

/** One look, and the step that it leads to. */
async function step(lease: DisruptionLease): Promise<string> {
  const seen = await lease.observe()
  if (seen.kind === 'free') await lease.apply({ kind: 'takeLease', config: seen.config })
  if (seen.kind === 'held' && seen.ask) await lease.apply({ kind: 'askHolder', config: seen.config })
  return said(seen)
}

function said(seen: LeaseSeen): string {
  return seen.kind === 'held' ? `held by ${seen.holder}${seen.ask ? ', ask' : ''}` : seen.kind
}

describe('the lease for what stops and restarts guests', () => {
  test('is taken once, and costs no write while nobody else wants it', async () => {
    const { swarm, clock, a } = aSwarm()
    expect(await step(a)).toBe('free')
    const { writes } = swarm
    for (let hour = 0; hour < 3; hour += 1) {
      await clock.pass(3_600_000)
      expect(await step(a)).toBe('ours')
      await a.answer()
    }
    expect(swarm.writes).toBe(writes)
  })

  test('stays with a holder that answers, which is asked again only after a while', async () => {
    const { clock, a, b } = aSwarm()
    await step(a)
    expect(await step(b)).toBe('held by a, ask')
    expect(await step(b)).toBe('held by a')
    await clock.pass(2_000)
    expect(await step(b)).toBe('held by a, ask')
    await a.answer()
    expect(await step(b)).toBe('held by a')
    await clock.pass(10_000)
    expect(await step(b)).toBe('held by a')
    await clock.pass(11_000)
    expect(await step(b)).toBe('held by a, ask')
    await a.answer()
    await clock.pass(5_000)
    expect(await step(b)).toBe('held by a')
  })

  test('passes on within seconds from a holder that died, to one of those that wait', async () => {
    const { clock, swarm, a, b, controllerOf } = aSwarm()
    await step(a)
    await step(b)
    const c = controllerOf('c')
    expect(await step(c)).toBe('held by a')
    await clock.pass(5_900)
    expect(await step(b)).toBe('held by a, ask')
    await clock.pass(200)
    const config = swarm.config(name)
    await step(b)
    // It was seen by both as free; the version lets one of them have it.
    await expect(c.apply({ kind: 'takeLease', config })).rejects.toThrow(PortError)
    expect(await step(b)).toBe('ours')
    expect(await step(a)).toBe('held by b, ask')
  })

  test('stays with a holder that misses the event of the first request', async () => {
    const { clock, swarm, a, b } = aSwarm()
    await step(a)
    const versions = new Set<number | undefined>()
    for (let second = 0; second < 4; second += 1) {
      await step(b)
      versions.add(swarm.config(name)?.version)
      await clock.pass(1_000)
    }
    // Each write is an event: of two the holder hears one.
    expect(versions.size).toBe(2)
    await a.answer()
    await clock.pass(5_000)
    expect(await step(b)).toBe('held by a')
  })

  test('is given up for 3 s and no longer, however Docker hangs', async () => {
    const { clock, swarm } = aSwarm()
    const hanging = { getConfig: () => new Promise<never>(() => undefined) }
    let recent: Pick<SimulatedSwarm, 'getConfig'> = swarm
    const ports = { swarm, clock, log: silentLog, cluster: 'lab', id: 'a' }
    const a = disruptionLease({ ...ports, recent: { getConfig: (asked) => recent.getConfig(asked) } })
    await step(a)
    recent = hanging
    const released = expect(a.release()).rejects.toThrow('Docker did not answer within 3 s')
    await clock.pass(3_000)
    await released
  })

  test('is free at once when its holder ends', async () => {
    const { a, b } = aSwarm()
    await step(a)
    await a.release()
    expect(await step(b)).toBe('free')
    expect(await step(b)).toBe('ours')
    await a.answer()
    await a.release()
    expect(await step(b)).toBe('ours')
  })

  test('is never taken from what somebody else made under its name', async () => {
    const { swarm, clock, a } = aSwarm()
    await swarm.createConfig(name, {}, new TextEncoder().encode('theirs'))
    const { writes } = swarm
    for (let look = 0; look < 3; look += 1) {
      expect(await step(a)).toBe(`held by the owner of ${name}`)
      await clock.pass(60_000)
    }
    expect(swarm.writes).toBe(writes)
  })
})

/** Two controllers on one Swarm, whose manifests of `web` differ. */
async function twoControllers(before: SpecChanges, one: SpecChanges, other: SpecChanges) {
  const clock = virtualClock()
  const cluster = new Cluster()
  cluster.declare('web', before)
  await cluster.converge()
  const ports = cluster.ports()
  const leases = ['a', 'b'].map((id) =>
    disruptionLease({ swarm: cluster.swarm, recent: cluster.swarm, clock, log: silentLog, cluster: 'lab', id }),
  )
  const reconcilers = [one, other].map((spec, index) => {
    const declared = aVm('web', spec)
    const declarations = { ...ports.declarations, get: (vm: VmName): Declaration => (vm === 'web' ? declared : ports.declarations.get(vm)) }
    return servicesReconciler({ ...ports, declarations, lease: leases[index] ?? ports.lease })
  })
  const said: string[] = ['', '']
  async function turn(which: number): Promise<void> {
    const reconciler = reconcilers[which]
    const plan = reconciler && (await cluster.run(reconciler, 'web'))
    said[which] = plan?.conditions.find((condition) => condition.type === 'ServiceReady')?.reason ?? ''
    cluster.swarm.settle()
  }
  return {
    cluster,
    leases,
    said,
    turn,
    async round(): Promise<void> {
      for (const which of [0, 1]) await turn(which)
      for (const lease of leases) await lease.answer()
      await clock.pass(1_000)
    },
    clock,
  }
}

describe('two controllers with different manifests', () => {
  const restart = { updatePolicy: 'Restart' }
  const cases: readonly [string, SpecChanges, SpecChanges][] = [
    ['memory', { ...restart, memory: '1Gi' }, { ...restart, memory: '2Gi' }],
    ['whether it is on', { runStrategy: 'Halted' }, {}],
    ['whether it is on, the other way round', {}, { runStrategy: 'Halted' }],
  ]
  test.each(cases)('do not fight over %s: one holds the lease, the other one stands by and says so', async (_what, one, other) => {
    const world = await twoControllers(restart, one, other)
    for (let minute = 0; minute < 2; minute += 1) for (let second = 0; second < 60; second += 1) await world.round()
    expect(world.cluster.starts('web')).toBeLessThanOrEqual(3)
    expect(world.said).toContain('StandingBy')
  })

  test('the one that stands by goes on when the other one is killed', async () => {
    const world = await twoControllers(restart, { ...restart, memory: '1Gi' }, { ...restart, memory: '2Gi' })
    for (let second = 0; second < 30; second += 1) await world.round()
    expect(world.said[1]).toBe('StandingBy')
    const before = world.cluster.starts('web')
    for (let second = 0; second < 30; second += 1) {
      await world.turn(1)
      await world.clock.pass(1_000)
    }
    expect(world.cluster.starts('web')).toBe(before + 1)
    expect(world.said[1]).toBe('TaskRunning')
  })
})

/** One of two controllers, without the lease while the other one lives. */
async function standingBy(before: SpecChanges, declared: (cluster: Cluster) => Declaration) {
  const clock = virtualClock()
  const cluster = new Cluster(['n1'])
  cluster.declare('web', before)
  await cluster.converge()
  const ports = cluster.ports()
  const [holder, lease] = ['a', 'b'].map((id) =>
    disruptionLease({ swarm: cluster.swarm, recent: cluster.swarm, clock, log: silentLog, cluster: 'lab', id }),
  )
  if (holder === undefined || lease === undefined) throw new Error('there are two')
  await step(holder)
  const declaration = declared(cluster)
  const own = { ...ports, lease, declarations: { ...ports.declarations, get: (): Declaration => declaration } }
  async function second(holderLives: boolean): Promise<void> {
    await cluster.run(nodesReconciler(own), 'node-n1')
    await cluster.run(servicesReconciler(own), 'web')
    await cluster.run(assetsReconciler(own), 'web')
    cluster.swarm.settle()
    if (holderLives) await holder?.answer()
    await clock.pass(1_000)
  }
  const rounds = async (holderLives: boolean): Promise<void> => {
    for (let passed = 0; passed < 40; passed += 1) await second(holderLives)
  }
  return { cluster, rounds }
}

describe('a controller that stands by', () => {
  const halted = { runStrategy: 'Halted' }

  test('removes no VM that is off, and no disks', async () => {
    const { cluster, rounds } = await standingBy({ ...halted, deletionPolicy: 'Delete' }, () => ({
      kind: 'removed',
      deletionPolicy: 'Delete',
    }))
    await rounds(true)
    expect(cluster.swarm.service('vm-web')).toBeDefined()
    expect(cluster.agent('n1').held.size).toBe(1)
    expect(cluster.said('web', 'ServiceReady')).toBe('False StandingBy')
    await rounds(false)
    expect(cluster.swarm.service('vm-web')).toBeUndefined()
    expect(cluster.agent('n1').held.size).toBe(0)
    expect(cluster.record('web')).toBeUndefined()
  })

  test.each(['Delete', 'Retain'] as const)('gives up no VM whose service is gone already (%s)', async (deletionPolicy) => {
    const { cluster, rounds } = await standingBy({ deletionPolicy }, (world) => {
      const service = world.swarm.service('vm-web')
      if (service !== undefined) void world.swarm.removeService(service.id)
      return { kind: 'removed', deletionPolicy }
    })
    await rounds(true)
    expect(cluster.record('web')).toMatchObject({ deletingAt: undefined, retainedAt: undefined })
    expect([...cluster.agent('n1').held.values()]).toMatchObject([{ granted: true }])
    expect(cluster.said('web', 'Placed')).toBe('False StandingBy')
    await rounds(false)
    expect(cluster.agent('n1').held.size).toBe(deletionPolicy === 'Delete' ? 0 : 1)
  })

  test('lets no node replace a disk', async () => {
    const { cluster, rounds } = await standingBy(halted, (world) => {
      world.agent('n1').refusal = { state: 'failed', reason: 'ImageChangeRefused', message: 'a new image would destroy it' }
      const declared = aVm('web', halted)
      const annotations = { 'swarmvirt.dev/replace-disks': 'root=0123456789abcdef' }
      return { ...declared, vm: { ...declared.vm, metadata: { ...declared.vm.metadata, annotations } } }
    })
    const ordered = (): unknown => [...cluster.agent('n1').orders.values()][0]?.replaceDisks
    await rounds(true)
    expect(ordered()).toBeUndefined()
    expect(cluster.said('web', 'AssetsReady')).toBe('False StandingBy')
    await rounds(false)
    expect(ordered()).toEqual([{ disk: 'root', token: '0123456789abcdef' }])
  })
})

describe('the messages for an edit that restarts the VM', () => {
  const before = { updatePolicy: 'Restart' }
  const after = { ...before, memory: '1Gi' }

  test('while another controller holds the lease is not that it is applied', async () => {
    const { cluster, rounds } = await standingBy(before, () => aVm('web', after))
    await rounds(true)
    expect(cluster.said('web', 'ServiceReady')).toBe('False StandingBy')
    expect(cluster.said('web', 'RestartRequired')).toBe('Unknown StandingBy')
    await rounds(false)
    expect(cluster.said('web', 'RestartRequired')).toBe('False UpToDate')
  })

  test('by a lone controller, which takes the lease first, is what it is about to do', async () => {
    const { cluster, said, turn } = await twoControllers(before, after, after)
    await turn(0)
    expect(said[0]).toBe('Updating')
    expect(cluster.starts('web')).toBe(1)
    await turn(0)
    expect(cluster.starts('web')).toBe(2)
  })
})
