import { expect, test } from 'vitest'
import { byText } from '../../../src/api/order.ts'
import { maxGrants } from '../../../src/api/wire/broker-admin.ts'
import { PortError } from '../../../src/ports/errors.ts'
import { assetsReconciler } from '../../../src/reconcilers/assets/index.ts'
import { type AssumedPlacement, assumedPlacements } from '../../../src/reconcilers/shared/assumed-placements.ts'
import { place } from '../../../src/reconcilers/assets/place.ts'
import { Cluster, type SpecChanges } from '../../simulation/cluster.ts'
import { factsOf } from '../../simulation/simulated-agents.ts'
import { aNodeId, aUid, aVmName } from '../../support/branded.ts'

const gib = 1024 ** 3
const { signal } = new AbortController()

function disk(size: string): SpecChanges {
  return { disks: [{ name: 'root', size, image: { source: 'images/tiny.qcow2' } }] }
}

/** All look before the first of them writes. */
async function placeAtOnce(cluster: Cluster, vms: readonly string[]): Promise<string[]> {
  const assets = assetsReconciler(cluster.ports())
  const seen = await Promise.all(vms.map((vm) => assets.observe(aVmName(vm), signal)))
  const plans = seen.map((one) => assets.plan(one, cluster.nowMs))
  const ends = await Promise.allSettled(plans.flatMap(({ actions }) => actions.map((action) => assets.apply(action, signal))))
  return ends.map((end) => (end.status === 'fulfilled' ? 'placed' : (end.reason as PortError).kind))
}

test('two VMs that are placed at once do not get the memory of one', async () => {
  const cluster = new Cluster(['n1'])
  for (const vm of ['a', 'b']) cluster.declare(vm, { memory: '5Gi' })
  expect(await placeAtOnce(cluster, ['a', 'b'])).toEqual(['placed', 'Conflict'])
  await cluster.converge()
  expect(cluster.said('a', 'Placed')).toBe('True Placed')
  expect(cluster.said('b', 'Placed')).toBe('False InsufficientMemory')
})

test('two VMs that are placed at once do not get the disk of one', async () => {
  const cluster = new Cluster(['n1'])
  for (const vm of ['a', 'b']) cluster.declare(vm, disk('30Gi'))
  expect(await placeAtOnce(cluster, ['a', 'b'])).toEqual(['placed', 'Conflict'])
  await cluster.converge()
  expect(cluster.said('b', 'Placed')).toBe('False InsufficientDisk')
})

test('many VMs are placed at once where there is room for all of them', async () => {
  const cluster = new Cluster(['n1'])
  const vms = Array.from({ length: 8 }, (_, index) => `vm${index}`)
  for (const vm of vms) cluster.declare(vm)
  expect(new Set(await placeAtOnce(cluster, vms))).toEqual(new Set(['placed']))
})

function nodesOf(cluster: Cluster, vms: readonly string[]): string[] {
  return vms.map((vm) => cluster.record(vm)?.node ?? '').toSorted(byText)
}

test('VMs that are declared together are spread over equal nodes, however their looks fall', async () => {
  const cluster = new Cluster()
  const vms = Array.from({ length: 6 }, (_, index) => `vm${index}`)
  for (const vm of vms) cluster.declare(vm)
  const assets = assetsReconciler(cluster.ports())
  // All of them look before the first one writes; a VM that was refused looks again.
  for (let waiting: readonly string[] = vms; waiting.length > 0; ) {
    const seen = await Promise.all(waiting.map((vm) => assets.observe(aVmName(vm), signal)))
    const ends = await Promise.allSettled(
      seen.map(async (one) => Promise.all(assets.plan(one, cluster.nowMs).actions.map((action) => assets.apply(action, signal)))),
    )
    const refused = waiting.filter((_vm, index) => ends[index]?.status === 'rejected')
    expect(refused.length).toBeLessThan(waiting.length)
    waiting = refused
  }
  expect(nodesOf(cluster, vms)).toEqual(['node-n1', 'node-n1', 'node-n2', 'node-n2', 'node-n3', 'node-n3'])
})

test('a VM counts another one whose record is being written', async () => {
  const cluster = new Cluster()
  for (const vm of ['a', 'b']) cluster.declare(vm)
  let answer = (): void => undefined
  const slow = {
    ...cluster.ports(),
    swarm: Object.assign(Object.create(cluster.swarm) as typeof cluster.swarm, {
      createConfig: async (...given: Parameters<typeof cluster.swarm.createConfig>) => {
        await new Promise<void>((resolve) => (answer = resolve))
        return cluster.swarm.createConfig(...given)
      },
    }),
  }
  const assets = assetsReconciler(slow)
  const place = async (vm: string): Promise<void> => {
    const { actions } = assets.plan(await assets.observe(aVmName(vm), signal), cluster.nowMs)
    for (const action of actions) await assets.apply(action, signal)
  }
  const first = place('a')
  await new Promise(setImmediate)
  const answerFirst = answer
  const second = place('b')
  await new Promise(setImmediate)
  answerFirst()
  answer()
  await Promise.all([first, second])
  expect(nodesOf(cluster, ['a', 'b'])).toEqual(['node-n1', 'node-n2'])
})

test('memory that a pending edit gives back is not free before it is applied', async () => {
  const cluster = new Cluster(['n1'])
  cluster.declare('a', { memory: '6Gi' })
  await cluster.converge()
  cluster.declare('a', { memory: '1Gi' })
  cluster.declare('b', { memory: '5Gi' })
  await cluster.converge()
  expect(cluster.said('a', 'RestartRequired')).toBe('True SpecChanged')
  expect(cluster.said('b', 'Placed')).toBe('False InsufficientMemory')
  cluster.swarm.edit('vm-a', (spec) => Object.assign(spec['TaskTemplate'] as Record<string, unknown>, { ForceUpdate: 1 }))
  await cluster.converge()
  expect(cluster.said('b', 'Placed')).toBe('True Placed')
})

/** A task of a service that is no VM. Swarm counts its reservation as soon as the task has a node. */
async function reserveElsewhere(cluster: Cluster, bytes: number, Name = 'shop_db', Labels = {}): Promise<string> {
  const Resources = { Reservations: { MemoryBytes: bytes } }
  const spec = { Name, Labels, TaskTemplate: { ContainerSpec: { Image: 'db' }, Resources }, Mode: { Replicated: { Replicas: 1 } } }
  await cluster.swarm.createService(spec)
  cluster.swarm.settle()
  return cluster.swarm.tasksOf(Name)[0]?.nodeId ?? ''
}

test('memory that another service reserves is not free, and is again when its task has ended', async () => {
  const cluster = new Cluster(['n1'])
  await reserveElsewhere(cluster, 6 * gib)
  cluster.declare('a', { memory: '4Gi' })
  await cluster.converge()
  expect(cluster.condition('a', 'Placed')).toMatchObject({
    reason: 'InsufficientMemory',
    message: expect.stringContaining('n1: 2 GiB of 8 GiB memory is free beside 0 VMs and 6 GiB that other services reserve'),
  })
  cluster.swarm.edit('shop_db', (spec) => Object.assign(spec, { Mode: { Replicated: { Replicas: 0 } } }))
  await cluster.converge()
  expect(cluster.said('a', 'Placed')).toBe('True Placed')
})

test('a service with our labels and a name that no VM can have is another service', async () => {
  const cluster = new Cluster(['n1'])
  await reserveElsewhere(cluster, 6 * gib, 'vm-Web_1', { 'swarmvirt.managed-by': 'swarmvirt', 'swarmvirt.uid': 'u' })
  cluster.declare('a', { memory: '4Gi' })
  await cluster.converge()
  expect(cluster.said('a', 'Placed')).toBe('False InsufficientMemory')
})

test('a VM is placed beside another service where there is room for both', async () => {
  const cluster = new Cluster(['n1', 'n2'])
  const node = await reserveElsewhere(cluster, 6 * gib)
  cluster.declare('a', { memory: '4Gi' })
  await cluster.converge()
  expect(nodesOf(cluster, ['a'])).toEqual([node === 'node-n1' ? 'node-n2' : 'node-n1'])
})

test('disk space that a disk may still grow by is promised to nobody else, not even of a removed VM', async () => {
  const cluster = new Cluster(['n1'])
  cluster.declare('a', disk('30Gi'))
  await cluster.converge()
  cluster.remove('a')
  await cluster.converge()
  cluster.declare('b', disk('30Gi'))
  await cluster.converge()
  expect(cluster.condition('b', 'Placed')).toMatchObject({
    status: 'False',
    reason: 'InsufficientDisk',
    message: expect.stringMatching(
      /^no node fits: n1: has 50 GiB of disk free, 30(\.0)? GiB of it promised to disks that may grow, needs 30 GiB/,
    ),
  })
  cluster.declare('a', disk('30Gi'))
  await cluster.converge()
  expect(cluster.said('a', 'Placed')).toBe('True Placed')
})

test('the disk of a VM that was placed and has none yet is promised, too', async () => {
  const cluster = new Cluster(['n1'])
  cluster.agent('n1').steps = 1_000
  cluster.declare('a', disk('30Gi'))
  await placeAtOnce(cluster, ['a'])
  cluster.declare('b', disk('30Gi'))
  const assets = assetsReconciler(cluster.ports())
  const { conditions } = assets.plan(await assets.observe(aVmName('b'), signal), cluster.nowMs)
  expect(conditions.find((one) => one.type === 'Placed')).toMatchObject({ status: 'False', reason: 'InsufficientDisk' })
})

test('a node takes as many VMs as its broker takes grants, and says so', () => {
  const wanted = {
    accelerator: 'auto',
    softwareEmulation: true,
    nics: [],
    features: [],
    cpuLimit: 0,
    memoryBytes: 1,
    diskBytes: 1,
  } as const
  const node = {
    id: aNodeId('id-1'),
    hostname: 'n1',
    state: 'ready',
    availability: 'active',
    memoryBytes: 64 * gib,
    nanoCpus: 4e9,
  } as const
  const full = {
    node,
    facts: { known: true, value: factsOf('n1') },
    placedVms: maxGrants,
    committedBytes: 0,
    reservedBytes: 0,
    promisedDiskBytes: 0,
  } as const
  expect(place(wanted, [full])).toMatchObject({
    kind: 'refused',
    reason: 'NoSlotLeft',
    message: expect.stringContaining('it has 1024 VMs'),
  })
  expect(place(wanted, [{ ...full, placedVms: maxGrants - 1 }])).toMatchObject({ kind: 'placed', spare: { vms: 0 } })
})

function claim(mark: number, more: Partial<AssumedPlacement> = {}): AssumedPlacement {
  return {
    uid: aUid('00000000-0000-4000-8000-000000000001'),
    nodeId: aNodeId('n1'),
    takes: { memoryBytes: 4, diskBytes: 1 },
    spare: { memoryBytes: 3, diskBytes: 100, vms: 100 },
    mark,
    ...more,
  }
}

test('pending writes count against plans that were made meanwhile, and finished ones are part of what later plans read', () => {
  const it = assumedPlacements()
  const written = it.take(claim(it.mark()))
  const during = it.mark()
  expect(() => it.take(claim(during))).toThrow(PortError)
  expect(() => it.take(claim(during, { nodeId: aNodeId('n2') }))).not.toThrow()
  written()
  expect(() => it.take(claim(during))).toThrow('at the same time')
  expect(() => it.take(claim(2))).not.toThrow()
})

test('the last slot is taken once', () => {
  const it = assumedPlacements()
  const spare = { memoryBytes: 100, diskBytes: 100, vms: 0 }
  it.take(claim(0, { spare }))
  expect(() => it.take(claim(0, { spare }))).toThrow(PortError)
})
