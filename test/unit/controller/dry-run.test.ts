import { describe, expect, test } from 'vitest'
import type { VmPlan } from '../../../src/api/wire/plan.ts'
import { inspection } from '../../../src/controller/api/dry-run.ts'
import { aVm, Cluster, type SpecChanges } from '../../simulation/cluster.ts'
import { virtualClock } from './virtual-clock.ts'

async function running(spec: SpecChanges = {}): Promise<Cluster> {
  const cluster = new Cluster()
  cluster.declare('web', spec)
  await cluster.converge()
  return cluster
}

function inspecting(cluster: Cluster) {
  const ports = cluster.ports()
  const declarations = { ...ports.declarations, knows: (vm: string) => cluster.declared.has(vm) }
  return inspection({ ...ports, declarations, clock: virtualClock(), view: { vm: () => undefined } })
}

/** The plan, which must leave the world as it was. */
async function planned(cluster: Cluster): Promise<VmPlan> {
  const writes = cluster.swarm.writes
  const orders = JSON.stringify([...cluster.agents.byNode.values()].map((one) => [...one.orders]))
  const plan = await inspecting(cluster).plan('web')
  expect(cluster.swarm.writes).toBe(writes)
  expect(JSON.stringify([...cluster.agents.byNode.values()].map((one) => [...one.orders]))).toBe(orders)
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

  test('of a suspended VM is what resuming it would do, and says what only an order would tell', async () => {
    const cluster = await running({ updatePolicy: 'Restart' })
    await suspend(cluster)
    cluster.declare('web', {
      updatePolicy: 'Restart',
      memory: '2Gi',
      disks: [{ name: 'root', size: '4Gi', image: { source: 'images/tiny.qcow2' } }],
    })
    const { suspended, steps, edits, unknown } = await planned(cluster)
    expect(suspended).toContain('docker vm resume web')
    expect(steps.at(-1)).toMatchObject({ object: 'service vm-web', guest: 'restarts' })
    expect(edits).toContainEqual({ path: 'spec.disks[0].size', from: '2 GiB', to: '4 GiB', effect: 'destroys-data' })
    expect(unknown).toEqual(['whether its node accepts the image and networks: checked when the VM is prepared'])
  })

  test('of a disk that is to be another names the edit, and its node gets no order', async () => {
    const cluster = await running()
    cluster.declare('web', { disks: [{ name: 'root', size: '4Gi', image: { source: 'images/tiny.qcow2' } }] })
    expect((await planned(cluster)).edits).toEqual([{ path: 'spec.disks[0].size', from: '2 GiB', to: '4 GiB', effect: 'destroys-data' }])
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
    expect((await planned(cluster)).unknown).toEqual(['which disks n1 has: its agent does not answer'])
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
