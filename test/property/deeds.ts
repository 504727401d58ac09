import fc from 'fast-check'
import { dig } from '../../src/reconcilers/shared/raw.ts'
import type { Cluster } from '../simulation/cluster.ts'
import { factsOf } from '../simulation/simulated-agents.ts'

type Spec = Record<string, unknown>
export const hostnames = ['n1', 'n2', 'n3'] as const

/** Changes by people and nodes between two rounds. */
export type Deed =
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

export async function perform(cluster: Cluster, one: Deed): Promise<void> {
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
      // Record and service at once: only the disk is left.
      if (service !== undefined) await swarm.removeService(service.id)
      if (record !== undefined) await swarm.removeConfig(record.config.id)
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

export function deeds(maxLength: number): fc.Arbitrary<Deed[]> {
  return fc.array(deed, { maxLength })
}
