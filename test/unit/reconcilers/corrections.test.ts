import { expect, test } from 'vitest'
import { servicesReconciler } from '../../../src/reconcilers/services/index.ts'
import { Cluster } from '../../simulation/cluster.ts'

async function withRunningVm(): Promise<Cluster> {
  const cluster = new Cluster()
  cluster.declare('web')
  await cluster.converge()
  expect(cluster.corrected).toEqual([])
  return cluster
}

type Labels = Record<string, string>
type Spec = Record<string, unknown>

const drifts: readonly [string, string[], (cluster: Cluster) => void][] = [
  [
    'a label of the service',
    ['service_labels'],
    (c) => c.swarm.edit('vm-web', (spec) => delete (spec['Labels'] as Labels)['swarmvirt.uid']),
  ],
  ['replicas', ['replicas'], (c) => c.swarm.edit('vm-web', (spec) => (spec['Mode'] = { Replicated: { Replicas: 0 } }))],
  [
    'the update policy',
    ['update_policy'],
    (c) => c.swarm.edit('vm-web', (spec) => Object.assign(spec['UpdateConfig'] as Spec, { Order: 'start-first' })),
  ],
  [
    'the template',
    ['template'],
    (c) => c.swarm.edit('vm-web', (spec) => Object.assign((spec['TaskTemplate'] as Spec)['ContainerSpec'] as Spec, { Env: ['A=b'] })),
  ],
  ['the placement record', ['placement_record'], (c) => void c.swarm.configs.delete(c.swarm.config('sv-vm-web')?.id ?? '')],
]

test.each(drifts)('putting back %s is counted as %j', async (_what, kinds, change) => {
  const cluster = await withRunningVm()
  change(cluster)
  await cluster.converge()
  expect(cluster.corrected).toEqual(kinds)
})

test('what a manifest asks for is no correction', async () => {
  const cluster = await withRunningVm()
  cluster.declare('web', { runStrategy: 'Halted' })
  await cluster.converge()
  cluster.declare('web', { memory: '1Gi' })
  await cluster.converge()
  cluster.remove('web')
  await cluster.converge()
  cluster.declare('web')
  await cluster.converge()
  expect(cluster.corrected).toEqual([])
})

test('a restart by hand and another person’s label are no corrections', async () => {
  const cluster = await withRunningVm()
  cluster.swarm.edit('vm-web', (spec) => {
    Object.assign(spec['TaskTemplate'] as Spec, { ForceUpdate: 1 })
    Object.assign(spec['Labels'] as Labels, { team: 'a' })
  })
  await cluster.converge()
  expect(cluster.corrected).toEqual([])
})

const fields: readonly [string, string, (cluster: Cluster) => void][] = [
  ['a label of the service', 'Labels.swarmvirt.uid removed', drifts[0]?.[2] ?? (() => undefined)],
  ['replicas', 'Mode.Replicated.Replicas 1 → 0', drifts[1]?.[2] ?? (() => undefined)],
  ['the update policy', 'UpdateConfig.Order stop-first → start-first', drifts[2]?.[2] ?? (() => undefined)],
  ['the template', 'TaskTemplate.ContainerSpec.Env changed', drifts[3]?.[2] ?? (() => undefined)],
  [
    'a limit',
    `TaskTemplate.Resources.Limits.MemoryBytes ${768 * 1024 ** 2} → 1`,
    (c) =>
      c.swarm.edit('vm-web', (spec) => {
        const resources = (spec['TaskTemplate'] as Spec)['Resources'] as { Limits: Spec }
        resources.Limits['MemoryBytes'] = 1
      }),
  ],
]

test.each(fields)('putting back %s says what it was: %s', async (_what, said, change) => {
  const cluster = await withRunningVm()
  change(cluster)
  expect(await putBack(cluster)).toEqual([[said]])
})

test('beside an edit that waits, only the change from outside is reported', async () => {
  const cluster = await withRunningVm()
  cluster.declare('web', { memory: '1Gi' })
  await cluster.converge()
  cluster.swarm.edit('vm-web', (spec) =>
    Object.assign((spec['TaskTemplate'] as Spec)['ContainerSpec'] as Spec, { Env: ['PASSWORD=hunter2'] }),
  )
  const said = await putBack(cluster)
  expect(said.flat()).toEqual(['TaskTemplate.ContainerSpec.Env changed'])
})

/** The following plans, for each write that corrects something. */
async function putBack(cluster: Cluster): Promise<readonly (readonly string[])[]> {
  const said: (readonly string[])[] = []
  for (let run = 0; run < 3; run += 1) {
    const plan = await cluster.run(servicesReconciler(cluster.ports()), 'web')
    for (const action of plan?.actions ?? []) if ('changed' in action && action.changed !== undefined) said.push(action.changed)
  }
  return said
}
