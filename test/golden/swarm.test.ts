import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { canonicalJson } from '../../src/api/hash.ts'
import { parseVirtualMachine } from '../../src/api/manifest.ts'
import type { InstanceRecord } from '../../src/api/wire/agent-api.ts'
import type { Labels, RawSpec } from '../../src/ports/swarm.ts'
import { dig, rawList } from '../../src/reconcilers/shared/raw.ts'
import { Cluster } from '../simulation/cluster.ts'
import { templateOf } from '../simulation/docker-rules.ts'

/** All that release 0.1 left in a Swarm of two nodes, as it wrote it, with the manifests that it wrote it for. Never changed. */
interface Recorded {
  readonly documents: readonly { readonly metadata: { readonly name: string } }[]
  readonly nodes: readonly { readonly hostname: string; readonly labels: Labels }[]
  readonly configs: readonly { readonly name: string; readonly labels: Labels; readonly data: string }[]
  readonly secrets: Recorded['configs']
  readonly services: readonly (RawSpec & { readonly Name: string })[]
  readonly inventories: readonly { readonly hostname: string; readonly instances: readonly InstanceRecord[] }[]
}

const recorded = JSON.parse(readFileSync(join(import.meta.dirname, '0.1/swarm.json'), 'utf8')) as Recorded

/** A Swarm in which release 0.1 ended a moment ago, and this one begins. */
async function restored(): Promise<Cluster> {
  const cluster = new Cluster([])
  for (const { hostname, labels } of recorded.nodes) cluster.addNode(hostname, labels)
  for (const { hostname, instances } of recorded.inventories)
    for (const one of instances) cluster.agent(hostname).held.set(one.uid, { ...one })
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
  for (const { name, labels, data } of recorded.configs) await cluster.swarm.createConfig(name, labels, bytes(data))
  for (const { name, labels, data } of recorded.secrets) await cluster.swarm.createSecret(name, labels, bytes(data))
  for (const spec of recorded.services) await cluster.swarm.createService(withIds(spec, cluster))
  for (const document of recorded.documents) {
    const parsed = parseVirtualMachine(document)
    if (!parsed.ok) throw new Error(JSON.stringify(parsed.issues))
    cluster.declared.set(document.metadata.name, { kind: 'present', vm: parsed.vm, generation: parsed.generation, source: 'directory' })
  }
  return cluster
}

/** A service refers to its objects by id, which Docker creates, and by name. */
function withIds(spec: RawSpec, { swarm }: Cluster): RawSpec {
  const ids = new Map([...swarm.configs.values(), ...swarm.secrets.values()].map(({ id, name }) => [name, id]))
  const copy = structuredClone(spec)
  const container = dig(copy, 'TaskTemplate', 'ContainerSpec')
  for (const one of rawList(dig(container, 'Configs'))) Object.assign(one as object, { ConfigID: ids.get(String(dig(one, 'ConfigName'))) })
  for (const one of rawList(dig(container, 'Secrets'))) Object.assign(one as object, { SecretID: ids.get(String(dig(one, 'SecretName'))) })
  return copy
}

const names = recorded.documents.map(({ metadata }) => metadata.name)
/** The fields by which Swarm compares tasks: constraints that still match start none. */
const templates = ({ swarm }: Cluster): string =>
  canonicalJson([...swarm.services.values()].map(({ name, spec }) => [name, templateOf(spec), spec['Mode']]))
const constraints = ({ swarm }: Cluster, name: string): unknown =>
  dig(swarm.service(`vm-${name}`)?.spec, 'TaskTemplate', 'Placement', 'Constraints')
/** All that a service says of its VM, but how its template is written. */
const notes = ({ swarm }: Cluster): unknown =>
  names.map((name) => {
    const { 'swarmvirt.hash.template': _template, 'swarmvirt.bridge': _bridge, ...labels } = swarm.service(`vm-${name}`)?.labels ?? {}
    return [name, labels]
  })

function loseNotes(labels: Record<string, string>): void {
  for (const key of Object.keys(labels)) if (key.startsWith('swarmvirt.hash.')) delete labels[key]
}

describe('what release 0.1 left in a Swarm', () => {
  let cluster: Cluster
  let before: string
  beforeEach(async () => {
    cluster = await restored()
    before = templates(cluster)
  })

  function expectNothingRestarted(): void {
    expect(templates(cluster)).toBe(before)
    expect(names.map((name) => [name, cluster.starts(name)])).toEqual([
      ['plain', 1],
      ['rich', 1],
      ['off', 0],
    ])
    for (const name of names) expect([name, cluster.said(name, 'RestartRequired')]).toEqual([name, 'False UpToDate'])
  }

  it('is moved over once to the IDs of its nodes: names, hashes, generations and defaults stay what they were', async () => {
    const was = notes(cluster)
    await cluster.converge()
    expectNothingRestarted()
    expect(notes(cluster)).toEqual(was)
    const held = (node: string): readonly string[] => [`node.id==${node}`, 'node.labels.vm-capable==true']
    expect(names.map((name) => constraints(cluster, name))).toEqual([held('node-n1'), held('node-n2'), held('node-n1')])
    const { writes } = cluster.swarm
    await cluster.converge()
    expect(cluster.swarm.writes).toBe(writes)
  })

  it('loses the label of each VM once no service needs it, and no other label', async () => {
    await cluster.round()
    const labels = (): readonly Labels[] => [...cluster.swarm.nodes.values()].map((node) => node.labels)
    expect(labels()).toEqual(recorded.nodes.map((node) => node.labels))
    await cluster.converge()
    const kept = { 'swarmvirt.state': 'true', 'vm-capable': 'true', 'swarmvirt.accel': 'tcg', 'swarmvirt.bridge.br0': 'true' }
    expect(labels()).toEqual([kept, kept])
    expectNothingRestarted()
  })

  it('is granted its bridge as before, which only the old constraint named, while the manifest asks for another one', async () => {
    const declared = cluster.declared.get('plain')
    if (declared?.kind !== 'present') throw new Error('plain is not declared')
    const networks = declared.vm.spec.networks.map((one) => ({ ...one, bridge: 'br1', user: undefined, direct: undefined }))
    cluster.declared.set('plain', { ...declared, vm: { ...declared.vm, spec: { ...declared.vm.spec, networks } } })
    await cluster.converge()
    const uid = cluster.record('plain')?.uid ?? ''
    expect(cluster.agent('n1').orders.get(uid)?.nics).toMatchObject([{ bridge: 'br0' }])
    expect(cluster.condition('plain', 'RestartRequired')?.message).toContain('spec.networks[0].bridge br0 → br1')
    expect(cluster.starts('plain')).toBe(1)
  })

  it('restarts no VM where this release has another runner image', async () => {
    cluster.settings = { ...cluster.settings, runnerImage: 'swarmvirt-node:of-a-later-release' }
    await cluster.converge()
    expectNothingRestarted()
  })

  it('restarts no VM where this release counts its hashes otherwise, and is relabelled once', async () => {
    for (const name of names)
      cluster.swarm.edit(`vm-${name}`, (spec) =>
        Object.assign(spec['Labels'] as Record<string, string>, {
          'swarmvirt.hash.version': '0',
          'swarmvirt.hash.applied': 'x',
          'swarmvirt.hash.desired': 'x',
          'swarmvirt.hash.template': 'y',
        }),
      )
    const { writes } = cluster.swarm
    await cluster.converge()
    const moved = names.length * 2 + recorded.nodes.length
    expect(cluster.swarm.writes).toBe(writes + moved)
    expectNothingRestarted()
  })

  it('keeps an edit that waited for a restart waiting, however hashes are counted', async () => {
    cluster.swarm.edit('vm-plain', (spec) =>
      Object.assign(spec['Labels'] as Record<string, string>, {
        'swarmvirt.hash.version': '0',
        'swarmvirt.hash.applied': 'one',
        'swarmvirt.hash.desired': 'another',
      }),
    )
    await cluster.converge()
    expect([templates(cluster), cluster.starts('plain')]).toEqual([before, 1])
    expect(cluster.said('plain', 'RestartRequired')).toBe('True SpecChanged')
  })

  it('is not taken for edited where a service lost its notes: the launch config has them too', async () => {
    for (const name of names) cluster.swarm.edit(`vm-${name}`, (spec) => loseNotes(spec['Labels'] as Record<string, string>))
    await cluster.converge()
    expectNothingRestarted()
  })

  it('restarts no VM where all notes are lost and the template is in the form of release 0.1', async () => {
    for (const name of names) cluster.swarm.edit(`vm-${name}`, (spec) => loseNotes(spec['Labels'] as Record<string, string>))
    for (const config of cluster.swarm.configs.values()) {
      const labels = { ...config.labels }
      loseNotes(labels)
      await cluster.swarm.updateConfigLabels(config, labels)
    }
    const running = (): unknown => ['plain', 'rich'].map((name) => templateOf(cluster.swarm.service(`vm-${name}`)?.spec ?? {}))
    const was = canonicalJson(running())
    await cluster.converge()
    expect(canonicalJson(running())).toBe(was)
    expect(names.map((name) => cluster.starts(name))).toEqual([1, 1, 0])
  })

  it('gets the new form of the template when a person restarts a VM with a pending edit', async () => {
    const declared = cluster.declared.get('plain')
    if (declared?.kind !== 'present') throw new Error('plain is not declared')
    cluster.declared.set('plain', { ...declared, vm: { ...declared.vm, spec: { ...declared.vm.spec, memory: 768 * 1024 ** 2 } } })
    await cluster.converge()
    expect([templates(cluster), cluster.said('plain', 'RestartRequired')]).toEqual([before, 'True SpecChanged'])
    cluster.swarm.edit('vm-plain', (spec) => Object.assign(spec['TaskTemplate'] as object, { ForceUpdate: 1 }))
    await cluster.converge()
    const template = cluster.swarm.service('vm-plain')?.spec['TaskTemplate']
    expect(dig(template, 'ContainerSpec', 'Command')).toEqual(expect.arrayContaining(['setpriv', '--no-new-privs']))
    expect(dig(template, 'Resources', 'Limits', 'Pids')).toBe(512)
    expect(dig(template, 'ContainerSpec', 'DNSConfig')).toEqual({ Nameservers: ['127.0.0.1'] })
    expect(dig(template, 'LogDriver')).toEqual({ Name: 'json-file', Options: { 'max-size': '10m', 'max-file': '3' } })
  })

  it('stays on its network where another one is set, until the VM is switched on the next time', async () => {
    cluster.swarm.networks.add('another')
    cluster.settings = { ...cluster.settings, guestsNetwork: 'another' }
    await cluster.converge()
    expectNothingRestarted()
    const declared = cluster.declared.get('off')
    if (declared?.kind !== 'present') throw new Error('off is not declared')
    cluster.declared.set('off', { ...declared, vm: { ...declared.vm, spec: { ...declared.vm.spec, runStrategy: 'Always' } } })
    await cluster.converge()
    const template = cluster.swarm.service('vm-off')?.spec['TaskTemplate']
    expect(dig(rawList(dig(template, 'Networks'))[0], 'Target')).toBe('id-of-another')
    expect(dig(template, 'Resources', 'Limits', 'Pids')).toBe(512)
    expect(cluster.starts('off')).toBe(1)
  })

  it('says of an object what its manifest says: each generation is the one on the label', () => {
    for (const document of recorded.documents) {
      const parsed = parseVirtualMachine(document)
      const service = recorded.services.find((one) => one.Name === `vm-${document.metadata.name}`)
      expect(parsed.ok && parsed.generation).toBe((service?.['Labels'] as Labels | undefined)?.['swarmvirt.generation'])
    }
  })
})
