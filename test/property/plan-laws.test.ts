import fc from 'fast-check'
import { expect, test } from 'vitest'
import { canonicalJson } from '../../src/api/hash.ts'
import { deterministicMac } from '../../src/api/mac.ts'
import { type VirtualMachine, parseVirtualMachine } from '../../src/api/manifest.ts'
import type { Swarm } from '../../src/ports/swarm.ts'
import { assetsReconciler } from '../../src/reconcilers/assets/index.ts'
import { prepareOrderFor } from '../../src/reconcilers/assets/order.ts'
import { nodesReconciler } from '../../src/reconcilers/nodes/index.ts'
import { reachabilityReconciler } from '../../src/reconcilers/reachability/index.ts'
import type { Reconciler } from '../../src/reconcilers/reconciler.ts'
import { servicesReconciler } from '../../src/reconcilers/services/index.ts'
import { inputsOf } from '../../src/reconcilers/services/inputs.ts'
import { renderTemplate } from '../../src/reconcilers/services/render.ts'
import type { PlacementRecord } from '../../src/reconcilers/shared/placement-record.ts'
import { Cluster, settings } from '../simulation/cluster.ts'
import { type Deed, deeds, hostnames, perform } from './deeds.ts'
import { aUid, aVmName } from '../support/branded.ts'

type Ports = ReturnType<Cluster['ports']>
type Any = Reconciler<string, unknown, unknown>

/** Every reconciler with every key that it has in these clusters. */
function all(ports: Ports): readonly (readonly [Any, string])[] {
  const ofVm = [assetsReconciler(ports), servicesReconciler(ports), reachabilityReconciler(ports)] as readonly Any[]
  const vms = ['db', 'web'].flatMap((vm) => ofVm.map((one) => [one, vm] as const))
  return [...hostnames.map((one) => [nodesReconciler(ports) as Any, `node-${one}`] as const), ...vms]
}

async function after(done: readonly Deed[]): Promise<Cluster> {
  const cluster = new Cluster(hostnames)
  cluster.declare('db')
  cluster.declare('web')
  for (const one of done) await perform(cluster, one)
  return cluster
}

/** Identifies an action and its object: the same labels, spec or order twice for one object is a loop. */
function nameOf(action: unknown): string {
  const { kind, id, name, nodeId, config, node, labels, spec, order } = action as Record<string, { readonly id?: string } | undefined>
  return canonicalJson([kind, id ?? name ?? nodeId ?? config?.id ?? node?.id ?? null, labels ?? spec ?? order ?? null])
}

/**
 * A record is created, the node gets the order, the record notes the disks, and the node gets the order that they must exist: one
 * reconciler may take this many steps without changes by others.
 */
const mostSteps = 4

test('planning again after applying gives no action that was carried out, and soon none at all', async () => {
  await fc.assert(
    fc.asyncProperty(deeds(10), async (done) => {
      const cluster = await after(done)
      for (const [reconciler, key] of all(cluster.ports())) {
        const carriedOut = new Set<string>()
        let steps = 0
        for (let plan = await cluster.run(reconciler, key); plan !== undefined && plan.actions.length > 0; ) {
          for (const action of plan.actions) {
            expect(carriedOut).not.toContain(nameOf(action))
            carriedOut.add(nameOf(action))
          }
          steps += 1
          expect(steps).toBeLessThanOrEqual(mostSteps)
          plan = await cluster.run(reconciler, key)
        }
      }
    }),
    { numRuns: 100 },
  )
})

/** The same Swarm, whose lists come in another order. */
function turned(ports: Ports, turn: (list: readonly unknown[]) => readonly unknown[]): Ports {
  const turnedSwarm = new Proxy(ports.swarm, {
    get(swarm, name: keyof Swarm) {
      const method = swarm[name] as unknown
      if (typeof method !== 'function') return method
      return async (...given: unknown[]) => {
        const answer = (await method.apply(swarm, given)) as unknown
        return Array.isArray(answer) ? turn(answer) : answer
      }
    },
  })
  return { ...ports, swarm: turnedSwarm, recent: turnedSwarm }
}

async function plansOf(ports: Ports, nowMs: number): Promise<readonly string[]> {
  const { signal } = new AbortController()
  // A new VM gets the same uid each time.
  const settled = { ...ports, random: { uuid: () => 'fresh', next: () => 0.5 } }
  return Promise.all(
    all(settled).map(async ([reconciler, key]) => {
      try {
        const { actions, conditions, next } = reconciler.plan(await reconciler.observe(key, signal), nowMs)
        const sorted = [actions, conditions].map((list) => list.map((one) => canonicalJson(one)).toSorted())
        return canonicalJson([reconciler.name, key, ...sorted, next])
      } catch (error) {
        return `${reconciler.name} ${key}: ${String(error)}`
      }
    }),
  )
}

test('the order in which anything is listed changes no plan', async () => {
  await fc.assert(
    fc.asyncProperty(deeds(10), fc.nat(4), async (done, places) => {
      const cluster = await after(done)
      const ports = cluster.ports()
      const plans = await plansOf(ports, cluster.nowMs)
      const rotated = turned(ports, (list) => [...list.slice(places), ...list.slice(0, places)])
      for (const other of [rotated, turned(ports, (list) => list.toReversed())]) expect(await plansOf(other, cluster.nowMs)).toEqual(plans)
    }),
    { numRuns: 100 },
  )
})

const uid = aUid('00000000-0000-4000-8000-000000000001')
const record = { uid, vm: 'web', node: 'node-n1', disksMade: true } as PlacementRecord

/** Few values, so that two of them are often nearly the same. */
const disk = fc.record({
  name: fc.constantFrom('root', 'main'),
  size: fc.constantFrom('2Gi', '3Gi'),
  image: fc.record({ source: fc.constantFrom('images/a.qcow2', 'images/b.qcow2') }),
})
const network = fc.record({
  name: fc.constantFrom('lan', 'wan'),
  bridge: fc.constantFrom('br0', 'br1'),
  mac: fc.constantFrom('auto', '52:54:00:00:00:01', deterministicMac('lab', aVmName('web'), 'lan')),
})
const spec = fc.record({
  memory: fc.constantFrom('512Mi', '513Mi', '1Gi', String(512 * 1024 ** 2 + 4096)),
  cpu: fc.record({ cores: fc.integer({ min: 1, max: 3 }) }),
  accelerator: fc.constantFrom('auto', 'kvm', 'tcg'),
  disks: fc.tuple(disk),
  networks: fc.uniqueArray(network, { selector: ({ name }) => name, minLength: 1 }),
  cloudInit: fc.record(
    {
      userData: fc.constantFrom('#cloud-config\n', '#cloud-config\n '),
      sshAuthorizedKeys: fc.subarray([
        'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGqM6Q0i7Kt5i0v8v0R3k7v7m0bq0o6v8Qw0t6wWm3xk',
        'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAXAsXD48UzSKMhET2sScYihbO4x+1QbQI12t9P1Numu',
      ]),
    },
    { requiredKeys: [] },
  ),
})

function parsed(changes: unknown): VirtualMachine {
  const document = { apiVersion: 'swarmvirt.dev/v1alpha1', kind: 'VirtualMachine', metadata: { name: 'web' }, spec: changes }
  const result = parseVirtualMachine(document)
  if (!result.ok) throw new Error(JSON.stringify(result.issues))
  return result.vm
}

/** The properties of a guest that are visible in it or beside it: its CPUs, memory, disks, NICs, keys and user data. */
function visible({ spec: { cpu, memory, accelerator, disks, networks, cloudInit } }: VirtualMachine): string {
  const nics = networks.map(({ name, bridge, mac }) => ({
    name,
    bridge,
    mac: mac === 'auto' ? deterministicMac('lab', aVmName('web'), name) : mac,
  }))
  return canonicalJson({ cpu, memory, accelerator, disks, nics, cloudInit })
}

/** The writes to Swarm and the agent. */
function rendered(vm: VirtualMachine): string {
  const inputs = inputsOf({ cluster: 'lab', vm, uid })
  const template = renderTemplate({ vm: aVmName('web'), settings, apiVersion: '1.41', inputs, node: 'n', forceUpdate: 0 })
  return canonicalJson([
    template,
    inputs.launchText,
    inputs.secrets.map(({ file, text }) => [file, text]),
    prepareOrderFor(settings, vm, record, undefined),
  ])
}

test('two manifests are rendered the same exactly when nobody could tell their guests apart', () => {
  fc.assert(
    fc.property(spec, spec, (one, other) => {
      const [a, b] = [parsed(one), parsed(other)]
      expect(rendered(a) === rendered(b)).toBe(visible(a) === visible(b))
    }),
    { numRuns: 2_000 },
  )
})

test('one edit of a manifest is always rendered otherwise', () => {
  const edit = fc.constantFrom('memory', 'cpu', 'accelerator', 'disks', 'networks', 'cloudInit')
  fc.assert(
    fc.property(spec, spec, edit, (one, other, field) => {
      const [a, b] = [parsed(one), parsed({ ...one, [field]: other[field] })]
      expect(rendered(a) === rendered(b)).toBe(visible(a) === visible(b))
    }),
    { numRuns: 2_000 },
  )
})
