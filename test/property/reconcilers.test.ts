import fc from 'fast-check'
import { expect, test } from 'vitest'
import { assetsReconciler } from '../../src/reconcilers/assets/index.ts'
import { nodesReconciler } from '../../src/reconcilers/nodes/index.ts'
import { servicesReconciler } from '../../src/reconcilers/services/index.ts'
import { inputsOf } from '../../src/reconcilers/services/inputs.ts'
import { withObjectIds } from '../../src/reconcilers/services/apply.ts'
import { templateHashOf } from '../../src/reconcilers/services/projection.ts'
import { renderTemplate, surroundings } from '../../src/reconcilers/services/render.ts'
import { labelConstraints } from '../../src/reconcilers/shared/constraints.ts'
import { aVm, Cluster, settings } from '../simulation/cluster.ts'
import { stored } from '../simulation/docker-rules.ts'
import { deeds, hostnames, perform } from './deeds.ts'
import { aUid, aVmName } from '../support/branded.ts'

/** The nodes that hold disks of the VM. A second one would have an empty disk. */
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
    fc.asyncProperty(fc.boolean(), deeds(25), async (settled, done) => {
      const cluster = new Cluster(hostnames)
      cluster.declare('web')
      if (settled) await cluster.converge()
      let first: string | undefined
      for (const one of done) {
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
    fc.asyncProperty(deeds(12), async (done) => {
      const cluster = new Cluster(hostnames)
      for (const one of done) await perform(cluster, one)
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

test('no plan ever removes a label that a running task needs', async () => {
  await fc.assert(
    fc.asyncProperty(deeds(15), async (done) => {
      const cluster = new Cluster(hostnames)
      cluster.declare('web')
      await cluster.converge()
      for (const one of done) {
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

const publicKeys = [
  'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGqM6Q0i7Kt5i0v8v0R3k7v7m0bq0o6v8Qw0t6wWm3xk',
  'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAXAsXD48UzSKMhET2sScYihbO4x+1QbQI12t9P1Numu',
] as const

test('what Docker fills in, and the IDs that are added when a service is written, never look like drift', async () => {
  const spec = fc.record({
    memory: fc.constantFrom('64Mi', '1Gi'),
    cpu: fc.record({ cores: fc.integer({ min: 1, max: 64 }) }),
    accelerator: fc.constantFrom('auto', 'kvm', 'tcg'),
    cloudInit: fc.record({ userData: fc.string(), sshAuthorizedKeys: fc.array(fc.constantFrom(...publicKeys)) }, { requiredKeys: [] }),
  })
  const object = { id: 'x', version: 1, labels: {}, createdAt: '', data: new Uint8Array() }
  await fc.assert(
    fc.asyncProperty(spec, fc.constantFrom('1.41', '1.50'), fc.nat(9), async (changes, apiVersion, forceUpdate) => {
      const { vm } = aVm('web', changes)
      const inputs = inputsOf({ cluster: 'lab', vm, uid: aUid('00000000-0000-4000-8000-000000000001') })
      const TaskTemplate = renderTemplate({ vm: aVmName('web'), settings, apiVersion, inputs, node: 'n', forceUpdate })
      const rendered = { Name: 'vm-web', Labels: {}, TaskTemplate, ...surroundings(1) }
      const objects = {
        getConfig: async (name: string) => ({ ...object, name }),
        listSecrets: async () => inputs.secrets.map(({ name }) => ({ ...object, name })),
      }
      const written = stored(await withObjectIds(objects, rendered, new AbortController().signal))
      expect(JSON.stringify(written)).toContain('"ConfigID":"x"')
      expect(templateHashOf(written)).toBe(templateHashOf(rendered))
    }),
  )
})
