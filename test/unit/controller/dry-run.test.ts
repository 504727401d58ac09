import { describe, expect, test } from 'vitest'
import type { VmPlan } from '../../../src/api/wire/plan.ts'
import { inspection } from '../../../src/controller/api/dry-run.ts'
import type { DisruptionLease } from '../../../src/reconcilers/shared/disruption-lease.ts'
import { aVm, Cluster, type SpecChanges } from '../../simulation/cluster.ts'
import { virtualClock } from './virtual-clock.ts'

async function running(spec: SpecChanges = {}): Promise<Cluster> {
  const cluster = new Cluster()
  cluster.declare('web', spec)
  await cluster.converge()
  return cluster
}

const ordered = {
  verb: 'change',
  object: 'order to n1',
  why: 'the node checks and prepares image, disks and networks',
  guest: 'untouched',
}
const aConfig = { id: 'c1', name: 'sv-lease-lab', version: 1, labels: {}, createdAt: '', data: new Uint8Array() }
const heldByAnother = async () => ({ kind: 'held', holder: 'b', config: aConfig, ask: false }) as const
const heldByNobody = async () => ({ kind: 'free', config: undefined }) as const

function inspecting(cluster: Cluster, observe?: DisruptionLease['observe']) {
  const ports = cluster.ports()
  return inspection({
    ...ports,
    clock: virtualClock(),
    view: { vm: () => undefined },
    ...(observe && { lease: { ...ports.lease, observe } }),
  })
}

/** The plan, which must leave the world as it was. */
async function planned(cluster: Cluster, lease?: DisruptionLease['observe']): Promise<VmPlan> {
  const world = (): string =>
    JSON.stringify([cluster.swarm.writes, [...cluster.agents.byNode.values()].map((one) => [one.carriedOut, ...one.orders, ...one.held])])
  const before = world()
  const plan = await inspecting(cluster, lease).plan('web')
  expect(world()).toBe(before)
  if (plan === undefined) throw new Error('web is not known')
  return plan
}

async function suspend(cluster: Cluster): Promise<void> {
  const config = cluster.record('web')?.config
  if (config === undefined) throw new Error('web has no record')
  await cluster.swarm.updateConfigLabels(config, { ...config.labels, 'swarmvirt.suspended': 'true' })
}

describe('a plan', () => {
  test('of a VM that is as declared has nothing to do', async () => {
    const cluster = await running()
    expect(await planned(cluster)).toEqual({
      name: 'web',
      liveEdits: true,
      suspended: null,
      steps: [],
      edits: [],
      editsTakeHold: 'restart',
      waitsFor: '',
      unknown: [],
    })
  })

  test('of an edit that waits names field, values and effect, and touches nothing but labels', async () => {
    const cluster = await running({ memory: '1Gi' })
    cluster.declare('web', { memory: '2Gi' })
    const { steps, edits, editsTakeHold } = await planned(cluster)
    expect(steps.every((step) => step.guest === 'untouched')).toBe(true)
    expect(edits).toEqual([{ path: 'spec.memory', from: '1 GiB', to: '2 GiB', effect: 'restart' }])
    expect(editsTakeHold).toBe('restart')
  })

  test('with updatePolicy: Restart shows the objects, the service after them, and the restart', async () => {
    const cluster = await running({ updatePolicy: 'Restart' })
    cluster.declare('web', { updatePolicy: 'Restart', memory: '2Gi' })
    const { steps, editsTakeHold } = await planned(cluster)
    expect(steps.map(({ verb, object, guest }) => [verb, object.split(' ')[0], guest])).toEqual([
      ['create', 'config', 'untouched'],
      ['change', 'service', 'restarts'],
    ])
    expect(editsTakeHold).toBe('now')
    await cluster.converge()
    expect(cluster.starts('web')).toBe(2)
    expect((await planned(cluster)).steps).toEqual([])
  })

  test('of a VM that is to be off stops the guest', async () => {
    const cluster = await running()
    cluster.declare('web', { runStrategy: 'Halted' })
    expect((await planned(cluster)).steps).toMatchObject([{ verb: 'change', object: 'service vm-web', guest: 'stops' }])
  })

  test('of a removal removes the service', async () => {
    const cluster = await running()
    cluster.remove('web')
    expect((await planned(cluster)).steps).toMatchObject([{ verb: 'remove', object: 'service vm-web', guest: 'stops' }])
  })

  test('of a new VM says where it is placed', async () => {
    const cluster = new Cluster()
    cluster.declare('web')
    expect((await planned(cluster)).steps).toMatchObject([
      { verb: 'create', object: 'config sv-vm-web', why: expect.stringMatching(/^the VM is placed on n1/) as string },
    ])
  })

  test('of a suspended VM is what resuming it would do', async () => {
    const cluster = await running({ updatePolicy: 'Restart' })
    await suspend(cluster)
    cluster.declare('web', {
      updatePolicy: 'Restart',
      memory: '2Gi',
      disks: [{ name: 'root', size: '1Gi', image: { source: 'images/tiny.qcow2' } }],
    })
    const { suspended, steps, edits, unknown } = await planned(cluster)
    expect(suspended).toContain('docker vm resume web')
    expect(steps).toContainEqual(ordered)
    expect(steps.at(-1)).toMatchObject({ object: 'service vm-web', guest: 'restarts' })
    expect(edits).toContainEqual({ path: 'spec.disks[0].size', from: '2 GiB', to: '1 GiB', effect: 'destroys-data' })
    expect(unknown).toEqual([])
  })

  test('of a suspended VM whose node has the order only removes the label that suspends it', async () => {
    const cluster = await running()
    await suspend(cluster)
    await cluster.converge()
    expect((await planned(cluster)).steps).toMatchObject([{ object: 'config sv-vm-web' }])
  })

  test('of a new VM that its manifest suspends says where it would be placed', async () => {
    const cluster = new Cluster()
    cluster.declare('web', { annotations: { 'swarmvirt.dev/suspend': 'true' } })
    const { steps, unknown } = await planned(cluster)
    expect([steps.map((one) => one.object), unknown]).toEqual([['config sv-vm-web'], []])
  })

  test('shows the order to a node whose agent does not have it', async () => {
    const cluster = await running()
    cluster.agent('n1').restart()
    expect((await planned(cluster)).steps).toEqual([ordered])
    await cluster.converge()
    expect((await planned(cluster)).steps).toEqual([])
  })

  test('says that an order may replace disks, once this controller may allow it', async () => {
    const cluster = await running()
    cluster.declare('web', { annotations: { 'swarmvirt.dev/replace-disks': 'root=0123456789abcdef' } })
    expect((await planned(cluster)).steps).toEqual([
      { ...ordered, why: 'the node may replace disks that differ from the manifest: destroys-data' },
    ])
    expect((await planned(cluster, heldByNobody)).steps).toMatchObject([
      { object: 'order to n1', why: expect.stringMatching(/destroys-data$/) as string },
    ])
    expect((await planned(cluster, heldByAnother)).steps).toEqual([])
  })

  test('shows the order to an agent of release 0.1, which gets it at every observation', async () => {
    const cluster = await running()
    cluster.agent('n1').isOld = true
    expect((await planned(cluster)).steps).toEqual([ordered])
  })

  test('of a disk that is to be another names the edit, and its node gets no order', async () => {
    const cluster = await running()
    cluster.declare('web', { disks: [{ name: 'root', size: '1Gi', image: { source: 'images/tiny.qcow2' } }] })
    expect((await planned(cluster)).edits).toEqual([{ path: 'spec.disks[0].size', from: '2 GiB', to: '1 GiB', effect: 'destroys-data' }])
  })

  test('of an image that the node refuses shows the edit; the same bytes from another place are no edit', async () => {
    const cluster = await running()
    cluster.declare('web', { disks: [{ name: 'root', size: '2Gi', image: { source: 'images/other.qcow2' } }] })
    const effect = 'destroys-data'
    expect((await planned(cluster)).edits).toEqual([
      { path: 'spec.disks[0].image.source', from: 'images/tiny.qcow2', to: 'images/other.qcow2', effect },
    ])
    cluster.declare('web', { disks: [{ name: 'root', size: '2Gi', image: { source: 'images/other.qcow2', sha256: '0'.repeat(64) } }] })
    expect((await planned(cluster)).edits).toEqual([])
  })

  test('says what an agent of release 0.1 does not tell of its disks', async () => {
    const cluster = await running()
    const record = cluster.agent('n1').held.get(cluster.record('web')?.uid ?? '')
    for (const disk of record?.disks ?? []) delete disk.image
    expect((await planned(cluster)).unknown).toEqual(['from which image the disks on n1 were made: its agent is of release 0.1'])
  })

  test('shows no user data', async () => {
    const cluster = await running({ cloudInit: { userData: '#cloud-config\npassword: hunter2\n' } })
    cluster.declare('web', { cloudInit: { userData: '#cloud-config\npassword: letmein\n' } })
    const plan = await planned(cluster)
    expect(plan.edits.map((one) => one.path)).toEqual(['spec.cloudInit.userData'])
    expect(JSON.stringify(plan)).not.toMatch(/hunter2|letmein/)
  })

  test('says which disks cannot be known while the agent is away', async () => {
    const cluster = await running()
    cluster.agent('n1').away = true
    expect((await planned(cluster)).unknown).toEqual(['which disks n1 has: its agent is not responding'])
  })

  test('of a name that nobody knows is none', async () => {
    expect(await inspecting(new Cluster()).plan('web')).toBeUndefined()
  })
})

describe('the declared manifest', () => {
  test('has the hash of the user data in its place', async () => {
    const cluster = new Cluster()
    cluster.declared.set('web', aVm('web', { cloudInit: { userData: 'password: hunter2' } }))
    const declared = inspecting(cluster).manifest('web')
    expect(declared?.manifest.spec.cloudInit.userData).toMatch(/^sha256:[0-9a-f]{64}$/)
    expect(JSON.stringify(declared)).not.toContain('hunter2')
    expect(declared).toMatchObject({ name: 'web', source: 'directory' })
  })

  test('of a VM that is being removed is none', () => {
    const cluster = new Cluster()
    cluster.remove('web')
    expect(inspecting(cluster).manifest('web')).toBeUndefined()
  })
})
