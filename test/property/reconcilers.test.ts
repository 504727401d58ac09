import fc from 'fast-check'
import { expect, test } from 'vitest'
import { assetsReconciler } from '../../src/reconcilers/assets/index.ts'
import { nodesReconciler } from '../../src/reconcilers/nodes/index.ts'
import { servicesReconciler } from '../../src/reconcilers/services/index.ts'
import { inputsOf } from '../../src/reconcilers/services/inputs.ts'
import { templateHashOf } from '../../src/reconcilers/services/projection.ts'
import { renderSpec, renderTemplate } from '../../src/reconcilers/services/render.ts'
import { dig } from '../../src/reconcilers/shared/raw.ts'
import { labelConstraints } from '../../src/reconcilers/shared/vm-service.ts'
import { aVm, Cluster, settings } from '../simulation/cluster.ts'
import { stored } from '../simulation/docker-rules.ts'
import { factsOf } from '../simulation/simulated-agents.ts'

type Spec = Record<string, unknown>
const hostnames = ['n1', 'n2', 'n3'] as const

/** What people and nodes do to a cluster between two rounds. */
type Deed =
  | { readonly kind: 'edit'; readonly spec: Readonly<Spec> }
  | {
      readonly kind:
        | 'removeManifest'
        | 'loseManifest'
        | 'removeService'
        | 'removeRecord'
        | 'limitMemory'
        | 'forceUpdate'
        | 'forgetEverything'
        | 'round'
    }
  | { readonly kind: 'removeServiceLabel' | 'removeNodeLabel' | 'removeRecordLabel'; readonly index: number }
  | { readonly kind: 'agent'; readonly hostname: string; readonly away: boolean }
  | { readonly kind: 'broker'; readonly hostname: string; readonly away: boolean }
  | { readonly kind: 'drain'; readonly hostname: string; readonly drained: boolean }

/** n1 is where a first VM is placed: that is where most should go wrong. */
const hostname = fc.constantFrom('n1', 'n1', 'n1', 'n2', 'n3')
const away = fc.constantFrom(true, true, false)
const specChange = fc.constantFrom<Spec>(
  {},
  { memory: '1Gi' },
  { cpu: { cores: 2 } },
  { runStrategy: 'Halted' },
  { cloudInit: { userData: 'x' } },
)
const plain = fc.constantFrom('removeManifest', 'loseManifest', 'removeService', 'removeRecord', 'limitMemory', 'forceUpdate')
const deed: fc.Arbitrary<Deed> = fc.oneof(
  { weight: 3, arbitrary: fc.constant<Deed>({ kind: 'round' }) },
  { weight: 2, arbitrary: specChange.map((spec): Deed => ({ kind: 'edit', spec })) },
  { weight: 2, arbitrary: plain.map((kind): Deed => ({ kind })) },
  { weight: 2, arbitrary: fc.constant<Deed>({ kind: 'forgetEverything' }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('agent', 'broker'), hostname, away }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('drain'), hostname, drained: fc.boolean() }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constantFrom('removeServiceLabel', 'removeNodeLabel', 'removeRecordLabel'), index: fc.nat(12) }),
  },
)

const keptByPeople = new Set(['swarmvirt.managed-by', 'swarmvirt.state'])

function without(labels: Readonly<Record<string, string>>, index: number): Record<string, string> {
  const keys = Object.keys(labels).filter((one) => !keptByPeople.has(one))
  const gone = keys[index % Math.max(keys.length, 1)]
  return Object.fromEntries(Object.entries(labels).filter(([key]) => key !== gone))
}

async function perform(cluster: Cluster, one: Deed): Promise<void> {
  const { swarm } = cluster
  const service = swarm.service('vm-web')
  const record = cluster.record('web')
  switch (one.kind) {
    case 'edit':
      return cluster.declare('web', one.spec)
    case 'removeManifest':
      return cluster.remove('web')
    case 'loseManifest':
      cluster.declared.set('web', { kind: 'unknown', message: '' })
      return
    case 'removeService':
      return service === undefined ? undefined : swarm.removeService(service.id)
    case 'removeRecord':
      return record === undefined ? undefined : swarm.removeConfig(record.config.id)
    case 'limitMemory':
      if (service === undefined) return
      return swarm.edit('vm-web', (spec) => Object.assign(dig(spec, 'TaskTemplate', 'Resources', 'Limits') ?? {}, { MemoryBytes: 1 << 26 }))
    case 'forceUpdate':
      if (service === undefined) return
      return swarm.edit('vm-web', (spec) => {
        const template = spec['TaskTemplate'] as Spec
        template['ForceUpdate'] = Number(template['ForceUpdate']) + 1
      })
    case 'forgetEverything':
      // Record, service and label at once: only the disk is left.
      if (service !== undefined) await swarm.removeService(service.id)
      if (record !== undefined) await swarm.removeConfig(record.config.id)
      for (const id of swarm.nodes.keys()) swarm.editNodeLabels(id, (all) => void delete all['swarmvirt.vm.web'])
      return
    case 'round':
      await cluster.round()
      return
    case 'removeServiceLabel':
      if (service === undefined) return
      return swarm.edit('vm-web', (spec) => {
        spec['Labels'] = without(service.labels, one.index)
      })
    case 'removeNodeLabel': {
      const node = [...swarm.nodes.values()][one.index % swarm.nodes.size]
      if (node === undefined) return
      const { labels } = node
      return swarm.editNodeLabels(node.id, (all) => {
        for (const key of Object.keys(all)) if (!(key in without(labels, one.index))) delete all[key]
      })
    }
    case 'removeRecordLabel':
      return record === undefined ? undefined : swarm.updateConfigLabels(record.config, without(record.config.labels, one.index))
    case 'agent':
      cluster.agent(one.hostname).away = one.away
      return
    case 'broker': {
      const agent = cluster.agent(one.hostname)
      agent.nodeFacts = { ...agent.nodeFacts, broker: one.away ? null : factsOf(one.hostname).broker }
      return
    }
    case 'drain': {
      const node = swarm.nodes.get(`node-${one.hostname}`)
      if (node !== undefined) node.availability = one.drained ? 'drain' : 'active'
      return
    }
  }
}

/** Who holds disks of the VM: a second one would be an empty disk in the place of a full one. */
function disks(cluster: Cluster): string[] {
  return [...cluster.agents.byNode].flatMap(([id, agent]) =>
    [...agent.held.values()].filter((one) => one.disks.length > 0).map((one) => `${one.uid} on ${id}`),
  )
}

async function heal(cluster: Cluster): Promise<void> {
  for (const name of hostnames) {
    await perform(cluster, { kind: 'agent', hostname: name, away: false })
    await perform(cluster, { kind: 'broker', hostname: name, away: false })
    await perform(cluster, { kind: 'drain', hostname: name, drained: false })
  }
  cluster.declare('web')
  await cluster.converge()
}

test('whatever people and nodes do, there is one disk and one identity, and in the end the VM runs where its disk is', async () => {
  await fc.assert(
    fc.asyncProperty(fc.boolean(), fc.array(deed, { maxLength: 25 }), async (settled, deeds) => {
      const cluster = new Cluster(hostnames)
      cluster.declare('web')
      if (settled) await cluster.converge()
      let first: string | undefined
      for (const one of deeds) {
        await perform(cluster, one)
        const held = disks(cluster)
        first ??= held[0]
        expect(held).toEqual(first === undefined ? [] : [first])
      }
      await heal(cluster)
      const record = cluster.record('web')
      expect(disks(cluster)).toEqual([first ?? `${record?.uid} on ${record?.node}`])
      expect(`${record?.uid} on ${record?.node}`).toBe(disks(cluster)[0])
      expect(cluster.swarm.running('vm-web')).toMatchObject({ state: 'running', nodeId: record?.node })
      expect(cluster.said('web', 'ServiceReady')).toBe('True TaskRunning')
    }),
    { numRuns: 150 },
  )
})

test('at the fixpoint no plan has an action', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(deed, { maxLength: 12 }), async (deeds) => {
      const cluster = new Cluster(hostnames)
      for (const one of deeds) await perform(cluster, one)
      await heal(cluster)
      const ports = cluster.ports()
      const plans = [
        await cluster.run(nodesReconciler(ports), 'node-n1'),
        await cluster.run(assetsReconciler(ports), 'web'),
        await cluster.run(servicesReconciler(ports), 'web'),
      ]
      expect(plans.map((one) => one?.actions)).toEqual([[], [], []])
    }),
    { numRuns: 50 },
  )
})

test('no label that a running task lives by is ever taken away by a plan', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(deed, { maxLength: 15 }), async (deeds) => {
      const cluster = new Cluster(hostnames)
      cluster.declare('web')
      await cluster.converge()
      for (const one of deeds) {
        await perform(cluster, one)
        const task = cluster.swarm.running('vm-web')
        const node = cluster.swarm.nodes.get(task?.nodeId ?? '')
        const service = cluster.swarm.service('vm-web')
        if (node === undefined || service === undefined || task?.state !== 'running') continue
        const needed = labelConstraints(service).filter(({ label, value }) => node.labels[label] === value)
        await cluster.run(nodesReconciler(cluster.ports()), node.id)
        for (const { label, value } of needed) expect(node.labels[label]).toBe(value)
      }
    }),
    { numRuns: 100 },
  )
})

test('what Docker fills in, and what ids are called, never looks like drift', () => {
  const spec = fc.record({
    memory: fc.constantFrom('64Mi', '1Gi'),
    cpu: fc.record({ cores: fc.integer({ min: 1, max: 64 }) }),
    accelerator: fc.constantFrom('auto', 'kvm', 'tcg'),
    cloudInit: fc.record(
      { userData: fc.string(), sshAuthorizedKeys: fc.array(fc.constantFrom('ssh-ed25519 A', 'ssh-rsa B')) },
      { requiredKeys: [] },
    ),
  })
  fc.assert(
    fc.property(spec, fc.constantFrom('1.41', '1.50'), fc.nat(9), (changes, apiVersion, forceUpdate) => {
      const { vm } = aVm('web', changes)
      const inputs = inputsOf('lab', vm, '00000000-0000-4000-8000-000000000001')
      const template = (launch: string) =>
        renderTemplate({ vm: 'web', settings, apiVersion, inputs, ids: { launch, userData: 'u' }, forceUpdate })
      const written = renderSpec('vm-web', {}, 1, template('a'))
      const kept = stored(renderSpec('vm-web', {}, 1, template('b')))
      expect(templateHashOf(kept['TaskTemplate'], kept['EndpointSpec'])).toBe(
        templateHashOf(written['TaskTemplate'], written['EndpointSpec']),
      )
    }),
  )
})
