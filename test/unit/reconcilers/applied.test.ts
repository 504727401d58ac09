import { describe, expect, test } from 'vitest'
import type { PrepareOrder } from '../../../src/api/wire/agent-api.ts'
import { deterministicMac } from '../../../src/api/mac.ts'
import { PortError } from '../../../src/ports/errors.ts'
import { assetsReconciler } from '../../../src/reconcilers/assets/index.ts'
import { servicesReconciler } from '../../../src/reconcilers/services/index.ts'
import { dig, rawList, rawNumber } from '../../../src/reconcilers/shared/raw.ts'
import { checkOf, launchOf, machineMark, noteOfCheck } from '../../../src/reconcilers/shared/applied.ts'
import { reservedBytes } from '../../../src/reconcilers/shared/vm-service.ts'
import { Cluster, type SpecChanges } from '../../simulation/cluster.ts'
import { placeByLabels } from '../../simulation/former-release.ts'
import { factsOf } from '../../simulation/simulated-agents.ts'
import { aVmName } from '../../support/branded.ts'

type Spec = Record<string, unknown>
const service = 'vm-web'
const networks = [{ name: 'lan', bridge: 'br0' }]
const declared = deterministicMac('lab', aVmName('web'), 'lan')
const other = '52:54:00:00:00:99'
const otherMac = { networks: [{ name: 'lan', bridge: 'br0', mac: other }] }

async function running(spec: SpecChanges = {}): Promise<Cluster> {
  const cluster = new Cluster()
  cluster.declare('web', spec)
  await cluster.converge()
  return cluster
}

/** Without its mark. */
function order(cluster: Cluster): PrepareOrder {
  const [found] = [...cluster.agent('n1').orders.values()]
  if (found === undefined) throw new Error('n1 was given no order')
  const { mark: _mark, ...rest } = found
  return rest
}

function macs({ nics }: Pick<PrepareOrder, 'nics'>): string[] {
  return nics.map((one) => one.mac)
}

function force(spec: Spec): void {
  const template = spec['TaskTemplate'] as Spec
  template['ForceUpdate'] = Number(template['ForceUpdate'] ?? 0) + 1
}

function scaleTo0(spec: Spec): void {
  spec['Mode'] = { Replicated: { Replicas: 0 } }
}

function limit(bytes: number): (spec: Spec) => void {
  return (spec) => void Object.assign(dig(spec, 'TaskTemplate', 'Resources', 'Limits') ?? {}, { MemoryBytes: bytes })
}

function memoryLimit(cluster: Cluster): number {
  return rawNumber(dig(cluster.swarm.service(service)?.spec, 'TaskTemplate', 'Resources', 'Limits', 'MemoryBytes')) ?? 0
}

function message(cluster: Cluster): string {
  return cluster.condition('web', 'RestartRequired')?.message ?? ''
}

describe('while an edit waits for a restart', () => {
  test.each([
    ['the MAC', otherMac],
    ['the accelerator', { accelerator: 'tcg' }],
    ['the name of the network', { networks: [{ name: 'dmz', bridge: 'br0' }] }],
    ['the bridge', { networks: [{ name: 'lan', bridge: 'br1' }] }],
  ])('the node grants what the VM was started with, and checks the new value of %s', async (_what, edit) => {
    const cluster = await running()
    const before = order(cluster)
    expect(before.pending).toBeUndefined()
    cluster.declare('web', edit)
    await cluster.converge()
    const { pending, ...rest } = order(cluster)
    expect(rest).toEqual(before)
    expect(pending).toEqual({ accelerator: 'auto', nics: [expect.objectContaining({ name: 'lan' })], ...pendingOf(edit) })
  })

  function pendingOf({ accelerator, networks: nics }: { accelerator?: string; networks?: readonly object[] }): object {
    return {
      ...(accelerator === undefined ? {} : { accelerator }),
      ...(nics === undefined ? {} : { nics: [expect.objectContaining(nics[0] ?? {})] }),
    }
  }

  test('the grant changes with the template', async () => {
    const cluster = await running()
    cluster.declare('web', otherMac)
    await cluster.converge()
    expect(macs(order(cluster))).toEqual([declared])
    cluster.swarm.edit(service, force)
    await cluster.converge()
    expect(macs(order(cluster))).toEqual([other])
    expect(order(cluster).pending).toBeUndefined()
    expect(cluster.record('web')?.prepared).toBeUndefined()
    expect(cluster.said('web', 'RestartRequired')).toBe('False UpToDate')
  })

  test('the grant follows a rollback by hand', async () => {
    const cluster = await running()
    cluster.declare('web', { ...otherMac, updatePolicy: 'Restart' })
    await cluster.converge()
    expect(macs(order(cluster))).toEqual([other])
    cluster.swarm.edit(service, (spec) => Object.assign(spec, cluster.swarm.service(service)?.previousSpec))
    await cluster.round()
    expect(macs(order(cluster))).toEqual([declared])
    await cluster.converge()
    expect(macs(order(cluster))).toEqual([other])
  })

  test('the launch config of release 0.1, which names no bridge, is granted by the constraint, and by a note once that is gone', async () => {
    const cluster = await running()
    placeByLabels(cluster, 'web')
    for (const one of cluster.swarm.configs.values()) {
      if (one.labels['swarmvirt.component'] !== 'launch') continue
      const text = new TextDecoder().decode(one.data).replace('"bridge":"br0",', '')
      expect(text).not.toContain('bridge')
      cluster.swarm.configs.set(one.id, { ...one, data: new TextEncoder().encode(text) })
    }
    cluster.declare('web', { networks: [{ name: 'lan', bridge: 'br1' }] })
    await cluster.converge()
    expect(order(cluster).nics).toEqual([{ name: 'lan', bridge: 'br0', mac: declared, mtu: null }])
    expect(cluster.swarm.service(service)?.labels['swarmvirt.bridge']).toBe('br0')
    expect(message(cluster)).toContain('spec.networks[0].bridge br0 → br1')
    cluster.declare('web', { memory: '1Gi' })
    await cluster.converge()
    expect(message(cluster)).not.toContain('bridge')
    cluster.swarm.edit(service, force)
    await cluster.converge()
    expect(cluster.swarm.service(service)?.labels['swarmvirt.bridge']).toBeUndefined()
    expect(order(cluster).nics).toEqual([{ name: 'lan', bridge: 'br0', mac: declared, mtu: null }])
  })
})

describe('an edit that its node has not checked yet', () => {
  const refused = { networks: [{ name: 'lan', bridge: 'br0', mac: '02:00:00:00:00:01' }] }
  /** The services reconciler is quicker than the one that has the node check the edit. */
  const lookAtService = async (cluster: Cluster) => {
    for (const _look of [1, 2, 3]) await cluster.run(servicesReconciler(cluster.ports()), 'web')
  }
  const launched = (cluster: Cluster): unknown => {
    const there = cluster.swarm.service(service)
    return there && launchOf(there, [...cluster.swarm.configs.values()])
  }

  test.each([
    ['a MAC', otherMac, { nics: [{ name: 'lan', mac: other }] }],
    ['an accelerator', { accelerator: 'tcg' }, { accelerator: 'tcg' }],
  ])('of %s is what a VM starts with that is switched on in the same edit', async (_what, edit, started) => {
    const cluster = await running({ runStrategy: 'Halted' })
    cluster.declare('web', edit)
    await lookAtService(cluster)
    expect(cluster.starts('web')).toBe(0)
    expect(cluster.condition('web', 'ServiceReady')).toMatchObject({
      reason: 'WaitingForAssets',
      message: 'n1 has not checked the accelerator and networks of the manifest; see AssetsReady',
    })
    await cluster.converge()
    expect(cluster.starts('web')).toBe(1)
    expect(launched(cluster)).toMatchObject(started)
    expect(cluster.corrected).toEqual([])
  })

  test('is what a VM starts with whose node is not capable at that moment', async () => {
    const cluster = await running({ runStrategy: 'Halted' })
    cluster.declare('web', otherMac)
    await cluster.run(assetsReconciler(cluster.ports()), 'web')
    const [node] = await cluster.swarm.listNodes()
    if (node !== undefined) await cluster.swarm.updateNodeLabels(node, {})
    await lookAtService(cluster)
    await cluster.converge()
    expect(cluster.starts('web')).toBe(1)
    expect(launched(cluster)).toMatchObject({ nics: [{ name: 'lan', mac: other }] })
  })

  test('is left out of the start once the node rejects it, and this is reported', async () => {
    const cluster = await running({ runStrategy: 'Halted' })
    cluster.declare('web', refused)
    await lookAtService(cluster)
    expect(cluster.starts('web')).toBe(0)
    await cluster.converge()
    expect(cluster.starts('web')).toBe(1)
    expect(launched(cluster)).toMatchObject({ nics: [{ name: 'lan', mac: declared }] })
    expect(message(cluster)).toContain('it could not start again: n1 rejects the accelerator and networks of the manifest')
  })

  test('is applied by a restart by hand that comes before the check', async () => {
    const cluster = await running()
    cluster.declare('web', otherMac)
    cluster.swarm.edit(service, force)
    await lookAtService(cluster)
    expect(message(cluster)).toContain('waiting: n1 has not checked')
    await cluster.converge()
    expect(macs(order(cluster))).toEqual([other])
    expect(cluster.starts('web')).toBe(3)
    expect(cluster.said('web', 'RestartRequired')).toBe('False UpToDate')
  })

  test.each(['isOld', 'away'] as const)(
    'restarts no guest that runs since a restart by hand weeks before the check (agent %s)',
    async (how) => {
      const cluster = await running()
      cluster.agent('n1')[how] = true
      cluster.declare('web', otherMac)
      await cluster.converge()
      cluster.swarm.edit(service, force)
      await cluster.converge()
      cluster.nowMs += 6 * 60_000
      await cluster.converge()
      cluster.nowMs += 30 * 24 * 3_600_000
      cluster.agent('n1')[how] = false
      await cluster.converge()
      expect(cluster.starts('web')).toBe(2)
      expect(macs(order(cluster))).toEqual([declared])
      expect(cluster.said('web', 'RestartRequired')).toBe('True SpecChanged')
    },
  )

  test('is reconciled every minute while a restart by hand waits for it', async () => {
    const cluster = await running()
    const nextMs = async (): Promise<number | undefined> => {
      const next = (await cluster.run(servicesReconciler(cluster.ports()), 'web'))?.next
      return next?.kind === 'requeueAfter' ? next.ms : undefined
    }
    cluster.agent('n1').away = true
    cluster.declare('web', otherMac)
    await cluster.converge()
    expect(await nextMs()).toBe(1_800_000)
    cluster.swarm.edit(service, force)
    await cluster.converge()
    expect(cluster.said('web', 'ServiceReady')).toBe('True TaskRunning')
    expect(await nextMs()).toBe(60_000)
    cluster.nowMs += 6 * 60_000
    await cluster.converge()
    expect(await nextMs()).toBe(1_800_000)
  })

  test('leaves off no VM that somebody scales to 0 meanwhile', async () => {
    const cluster = await running()
    cluster.agent('n1').away = true
    cluster.declare('web', otherMac)
    await cluster.converge()
    cluster.swarm.edit(service, scaleTo0)
    await cluster.converge()
    expect(cluster.said('web', 'ServiceReady')).toBe('True TaskRunning')
    expect(cluster.corrected).toEqual(['replicas'])
    expect(launched(cluster)).toMatchObject({ nics: [{ name: 'lan', mac: declared }] })
  })

  test.each([
    ['Invalid', 'Refused'],
    ['Denied', 'Denied'],
  ] as const)('is not written for a VM that is off when the agent refuses the whole order (%s)', async (kind, reason) => {
    const cluster = await running({ runStrategy: 'Halted' })
    const agent = cluster.agent('n1')
    const prepare = agent.prepare.bind(agent)
    agent.prepare = async () => {
      throw new PortError(kind, 'the order names no disk')
    }
    cluster.declare('web', { ...otherMac, runStrategy: 'Halted' })
    await cluster.converge()
    expect(launched(cluster)).toMatchObject({ nics: [{ name: 'lan', mac: declared }] })
    expect(cluster.condition('web', 'AssetsReady')).toMatchObject({ status: 'False', reason, message: 'n1: the order names no disk' })
    agent.prepare = prepare
    await cluster.converge()
    expect(launched(cluster)).toMatchObject({ nics: [{ name: 'lan', mac: other }] })
  })

  test('waits while the broker of the node cannot be asked', async () => {
    const cluster = await running({ runStrategy: 'Halted' })
    cluster.agent('n1').undecided = { reason: 'BrokerUnavailable', message: 'the broker does not answer' }
    cluster.declare('web', otherMac)
    await cluster.converge()
    expect(cluster.starts('web')).toBe(0)
    cluster.agent('n1').undecided = undefined
    await cluster.converge()
    expect(cluster.starts('web')).toBe(1)
    expect(macs(order(cluster))).toEqual([other])
  })

  test('is the same as one that an agent of an earlier release accepted', () => {
    const machine = { accelerator: 'auto', nics: [] } as const
    expect(checkOf(machine, machineMark(machine))).toBe('accepted')
    expect(checkOf(machine, noteOfCheck({ ...machine, accelerator: 'kvm' }, 'refused'))).toBe('unchecked')
  })
})

describe('an edit that cannot be started never stops a running VM', () => {
  const restart = { updatePolicy: 'Restart' }
  const unfit: readonly [string, SpecChanges, string][] = [
    ['more memory than the node has', { memory: '9000Gi' }, 'n1 has 8 GiB of memory'],
    ['a bridge that the node has not', { networks: [{ name: 'lan', bridge: 'br7' }] }, 'n1 rejects'],
    ['a MAC that the broker refuses', { networks: [{ name: 'lan', bridge: 'br0', mac: '02:00:00:00:00:01' }] }, 'n1 rejects'],
    ['KVM that does not work', { accelerator: 'kvm' }, 'n1 rejects'],
  ]
  const occasions: readonly [string, SpecChanges, ((spec: Spec) => void) | undefined, number][] = [
    ['updatePolicy: Restart', restart, undefined, 1],
    ['a restart by hand', {}, force, 2],
    ['a correction of drift', {}, limit(64 * 1024 ** 2), 3],
    ['scaling to 0 by hand', {}, scaleTo0, 2],
  ]
  for (const [what, edit, why] of unfit) {
    test.each(occasions)(`${what}, with %s`, async (_occasion, policy, hand, starts) => {
      const cluster = await running()
      const before = memoryLimit(cluster)
      const machine = order(cluster)
      cluster.declare('web', { ...policy, ...edit })
      await cluster.converge()
      if (hand !== undefined) cluster.swarm.edit(service, hand)
      await cluster.converge()
      expect(memoryLimit(cluster)).toBe(before)
      expect(cluster.starts('web')).toBe(starts)
      expect({ ...order(cluster), pending: undefined }).toEqual({ ...machine, pending: undefined })
      expect(cluster.said('web', 'RestartRequired')).toBe('True SpecChanged')
      expect(message(cluster)).toContain(`it could not start again: ${why}`)
      expect(cluster.said('web', 'ServiceReady')).toBe('True TaskRunning')
    })

    test(`${what}, while it is halted`, async () => {
      const cluster = await running()
      const before = memoryLimit(cluster)
      cluster.declare('web', { ...edit, runStrategy: 'Halted' })
      await cluster.converge()
      expect(memoryLimit(cluster)).toBe(before)
      cluster.declare('web', edit)
      await cluster.converge()
      expect(cluster.said('web', 'ServiceReady')).toBe('True TaskRunning')
      expect(message(cluster)).toContain(why)
    })
  }

  test('says in AssetsReady what the node refuses, and is written when the node takes it', async () => {
    const cluster = await running(restart)
    cluster.declare('web', { ...restart, networks: [{ name: 'lan', bridge: 'br7' }] })
    await cluster.converge()
    expect(cluster.condition('web', 'AssetsReady')).toMatchObject({ status: 'True', message: expect.stringContaining('BridgeNotAllowed') })
    const { broker } = cluster.agent('n1').nodeFacts
    const [bridge] = broker?.bridges ?? []
    if (broker === null || bridge === undefined) throw new Error('n1 has a bridge')
    cluster.agent('n1').nodeFacts = { ...factsOf('n1'), broker: { ...broker, bridges: [bridge, { ...bridge, name: 'br7' }] } }
    await cluster.converge()
    expect(order(cluster).nics).toEqual([expect.objectContaining({ bridge: 'br7' })])
    expect(cluster.starts('web')).toBe(2)
  })

  const unable = [
    [{ availability: 'pause' }, 'the availability of n1 is pause: docker node update --availability active n1'],
    [{ state: 'down' }, 'n1 is down'],
  ] as const
  test.each(unable)('waits while its node takes no new task (%o), which one that runs there outlives', async (change, why) => {
    const cluster = await running(restart)
    cluster.swarm.changeNode('node-n1', change)
    cluster.declare('web', { ...restart, memory: '1Gi' })
    await cluster.converge()
    expect(cluster.starts('web')).toBe(1)
    expect(cluster.said('web', 'ServiceReady')).toBe('True TaskRunning')
    expect(message(cluster)).toContain(`it could not start again: ${why}`)
    cluster.swarm.changeNode('node-n1', { availability: 'active', state: 'ready' })
    await cluster.converge()
    expect(cluster.starts('web')).toBe(2)
    expect(cluster.said('web', 'RestartRequired')).toBe('False UpToDate')
  })

  test('is written on a paused node for a VM that is off, or that somebody else stopped there', async () => {
    const cluster = await running()
    cluster.swarm.changeNode('node-n1', { availability: 'pause' })
    cluster.swarm.edit(service, limit(64 * 1024 ** 2))
    await cluster.converge()
    expect(memoryLimit(cluster)).toBe(768 * 1024 ** 2)
    cluster.declare('web', { runStrategy: 'Halted' })
    await cluster.converge()
    cluster.declare('web', { runStrategy: 'Halted', memory: '1Gi' })
    await cluster.converge()
    expect(cluster.said('web', 'RestartRequired')).toBe('False UpToDate')
  })

  test('is not stopped on a paused node for a correction of drift from before', async () => {
    const cluster = await running()
    cluster.swarm.edit(service, limit(64 * 1024 ** 2))
    cluster.swarm.settle()
    cluster.swarm.changeNode('node-n1', { availability: 'pause' })
    await cluster.converge()
    expect(memoryLimit(cluster)).toBe(64 * 1024 ** 2)
    expect(cluster.said('web', 'ServiceReady')).toBe('True TaskRunning')
  })

  test('counts the memory of the other VMs of the node', async () => {
    const cluster = new Cluster(['n1'])
    for (const vm of ['web', 'db']) cluster.declare(vm, { memory: '3Gi', ...restart })
    await cluster.converge()
    cluster.declare('web', { memory: '6Gi', ...restart })
    await cluster.converge()
    expect(cluster.starts('web')).toBe(1)
    expect(message(cluster)).toContain('4.8 GiB of the 8 GiB of memory of n1 is free beside its other VMs and services')
    cluster.declare('db', { memory: '1Gi', ...restart })
    await cluster.converge()
    expect(cluster.starts('web')).toBe(2)
  })

  test('counts the memory that other services reserve on the node', async () => {
    const cluster = new Cluster(['n1'])
    const Resources = { Reservations: { MemoryBytes: 6 * 1024 ** 3 } }
    cluster.declare('web', restart)
    await cluster.converge()
    await cluster.swarm.createService({
      Name: 'db',
      TaskTemplate: { ContainerSpec: { Image: 'db' }, Resources },
      Mode: { Replicated: { Replicas: 1 } },
    })
    cluster.swarm.settle()
    cluster.declare('web', { memory: '3Gi', ...restart })
    await cluster.converge()
    expect(cluster.starts('web')).toBe(1)
    expect(message(cluster)).toContain('2 GiB of the 8 GiB of memory of n1 is free')
    await cluster.swarm.removeService(cluster.swarm.service('db')?.id ?? '')
    await cluster.converge()
    expect(cluster.starts('web')).toBe(2)
  })

  test('is given to no more VMs than the memory allows, even if one edit changes all of them at once', async () => {
    const cluster = new Cluster(['n1'])
    const all = ['web', 'db', 'log']
    const reserved = (vm: string): number => reservedBytes({ spec: cluster.swarm.service(`vm-${vm}`)?.spec ?? {} }) / 1024 ** 3
    for (const vm of all) cluster.declare(vm, { memory: '1Gi', ...restart })
    await cluster.converge()
    for (const vm of all) cluster.declare(vm, { memory: '3Gi', ...restart })
    const services = servicesReconciler(cluster.ports())
    const { signal } = new AbortController()
    const seen = await Promise.all(all.map((vm) => services.observe(aVmName(vm), signal)))
    const plans = seen.map((one) => services.plan(one, cluster.nowMs))
    const carryOut = async ({ actions }: (typeof plans)[number]): Promise<void> => {
      for (const action of actions) await services.apply(action, signal)
    }
    const results = await Promise.allSettled(plans.map(carryOut))
    expect(results.map((one) => (one.status === 'rejected' ? String(one.reason) : 'written'))).toEqual([
      'written',
      'written',
      expect.stringContaining('at the same time'),
    ])
    await cluster.converge()
    expect(all.map((vm) => Math.floor(reserved(vm)))).toEqual([3, 3, 1])
    for (const vm of all) expect(cluster.said(vm, 'ServiceReady')).toBe('True TaskRunning')
  })

  test('waits for an agent of release 0.1, which does not check it, to be updated', async () => {
    const cluster = await running(restart)
    cluster.agent('n1').isOld = true
    cluster.declare('web', { ...restart, networks: [{ name: 'lan', bridge: 'br0', mac: '02:00:00:00:00:01' }] })
    await cluster.converge()
    expect(cluster.starts('web')).toBe(1)
    expect(cluster.condition('web', 'AssetsReady')?.message).toContain('the agent on n1 is of release 0.1')
    cluster.declare('web', { ...restart, ...otherMac })
    await cluster.converge()
    expect(cluster.starts('web')).toBe(1)
    cluster.agent('n1').isOld = false
    await cluster.converge()
    expect(macs(order(cluster))).toEqual([other])
    expect(cluster.starts('web')).toBe(2)
  })

  test('of a VM that is off needs no check by an agent of release 0.1', async () => {
    const cluster = await running()
    cluster.agent('n1').isOld = true
    cluster.declare('web', { ...otherMac, runStrategy: 'Halted' })
    await cluster.converge()
    expect(macs(order(cluster))).toEqual([other])
    expect(cluster.said('web', 'RestartRequired')).toBe('False UpToDate')
  })

  const mending: readonly [string, SpecChanges, SpecChanges][] = [
    ['an accelerator', { accelerator: 'kvm' }, { accelerator: 'auto' }],
    ['a bridge', { networks: [{ name: 'lan', bridge: 'br1' }] }, { networks: [{ name: 'lan', bridge: 'br0' }] }],
  ]
  for (const isOld of [false, true]) {
    test.each(mending)(
      `mends a VM whose node has lost %s (${isOld ? 'off, with an agent of release 0.1' : 'on'})`,
      async (_what, before, edit) => {
        const cluster = new Cluster(['n1'])
        const { broker } = factsOf('n1')
        const [br0] = broker?.bridges ?? []
        if (broker === null || br0 === undefined) throw new Error('n1 has a bridge')
        const kvm = { state: 'works', reason: '', message: '' } as const
        cluster.agent('n1').nodeFacts = { ...factsOf('n1'), kvm, broker: { ...broker, bridges: [br0, { ...br0, name: 'br1' }] } }
        cluster.agent('n1').isOld = isOld
        cluster.declare('web', before)
        await cluster.converge()
        expect(cluster.said('web', 'AssetsReady')).toBe('True Prepared')
        cluster.agent('n1').nodeFacts = factsOf('n1')
        cluster.declare('web', { ...edit, ...(isOld ? { runStrategy: 'Halted' } : restart) })
        await cluster.converge()
        expect(cluster.said('web', 'AssetsReady')).toBe('True Prepared')
        expect(cluster.said('web', 'RestartRequired')).toBe('False UpToDate')
      },
    )
  }

  test('waits for an agent that does not answer', async () => {
    const cluster = await running(restart)
    cluster.agent('n1').away = true
    cluster.declare('web', { ...restart, ...otherMac })
    await cluster.converge()
    expect(cluster.starts('web')).toBe(1)
    cluster.agent('n1').away = false
    await cluster.converge()
    expect(cluster.starts('web')).toBe(2)
  })
})

describe('drift', () => {
  const changes: readonly [string, (spec: Spec) => void][] = [
    ['a limit', limit(64 * 1024 ** 2)],
    ['a capability', (spec) => Object.assign(dig(spec, 'TaskTemplate', 'ContainerSpec') ?? {}, { CapabilityAdd: ['NET_ADMIN'] })],
    ['a user', (spec) => Object.assign(dig(spec, 'TaskTemplate', 'ContainerSpec') ?? {}, { User: '0:0' })],
    [
      'a mount',
      (spec) => {
        const container = dig(spec, 'TaskTemplate', 'ContainerSpec') as Spec
        container['Mounts'] = [...rawList(container['Mounts']), { Type: 'bind', Source: '/', Target: '/host' }]
      },
    ],
  ]

  test.each(changes)('of %s is restored also when it is made twice', async (_what, change) => {
    const cluster = await running()
    const before = structuredClone(cluster.swarm.service(service)?.spec['TaskTemplate'])
    cluster.swarm.edit(service, change)
    // The controller dies when it has put it back.
    while (cluster.swarm.service(service)?.labels['swarmvirt.hash.drift'] === undefined) await cluster.round()
    cluster.corrected.length = 0
    cluster.swarm.edit(service, change)
    cluster.swarm.edit(service, (spec) => Object.assign(spec['Labels'] as Spec, { team: 'a' }))
    await cluster.converge()
    expect(cluster.swarm.service(service)?.spec['TaskTemplate']).toEqual(before)
    expect(cluster.corrected).toEqual(['template'])
  })

  test.each(changes.slice(1))('of %s is not taken for ours when the notes of the template are gone', async (_what, change) => {
    const cluster = await running()
    const before = structuredClone(cluster.swarm.service(service)?.spec['TaskTemplate'])
    cluster.swarm.edit(service, (spec) => {
      change(spec)
      spec['Labels'] = { 'swarmvirt.managed-by': 'swarmvirt' }
    })
    for (const one of cluster.swarm.configs.values()) {
      if (one.labels['swarmvirt.component'] !== 'launch') continue
      const { 'swarmvirt.hash.template': _template, ...labels } = one.labels
      cluster.swarm.configs.set(one.id, { ...one, labels })
    }
    await cluster.converge()
    expect(cluster.swarm.service(service)?.spec['TaskTemplate']).toEqual(before)
  })

  test('made twice under an edit that does not fit stays, and is reported', async () => {
    const cluster = await running()
    cluster.declare('web', { networks: [{ ...networks[0], bridge: 'br7' }] })
    await cluster.converge()
    cluster.swarm.edit(service, limit(64 * 1024 ** 2))
    cluster.swarm.edit(service, limit(32 * 1024 ** 2))
    await cluster.converge()
    expect(memoryLimit(cluster)).toBe(32 * 1024 ** 2)
    expect(message(cluster)).toContain('until then the changed template stays')
    cluster.declare('web')
    await cluster.converge()
    expect(memoryLimit(cluster)).toBe(768 * 1024 ** 2)
  })

  const taken: readonly [string, (spec: Spec) => void][] = [
    ...changes.slice(1),
    [
      'the capabilities that are dropped',
      (spec) => Object.assign(dig(spec, 'TaskTemplate', 'ContainerSpec') ?? {}, { CapabilityDrop: [] }),
    ],
  ]
  const unfit = { networks: [{ ...networks[0], bridge: 'br7' }] }
  const containerOf = (cluster: Cluster): unknown => dig(cluster.swarm.service(service)?.spec, 'TaskTemplate', 'ContainerSpec')

  test.each(taken)('of %s made twice under an edit that does not fit is corrected, and the machine stays', async (_what, change) => {
    const cluster = await running()
    const before = containerOf(cluster)
    cluster.declare('web', unfit)
    await cluster.converge()
    for (const _time of [1, 2]) cluster.swarm.edit(service, (spec) => (change(spec), limit(64 * 1024 ** 2)(spec), force(spec)))
    await cluster.converge()
    expect(containerOf(cluster)).toEqual(before)
    expect(memoryLimit(cluster)).toBe(64 * 1024 ** 2)
    expect(cluster.corrected).toEqual(['template'])
    expect(cluster.said('web', 'ServiceReady')).toBe('True TaskRunning')
    expect(message(cluster)).toContain('it could not start again: n1 ')
  })

  test.each(taken)('of %s is corrected on a paused node, where the VM then waits', async (_what, change) => {
    const cluster = await running()
    const before = containerOf(cluster)
    cluster.swarm.edit(service, change)
    cluster.swarm.settle()
    cluster.swarm.changeNode('node-n1', { availability: 'pause' })
    await cluster.converge()
    expect(containerOf(cluster)).toEqual(before)
    expect(cluster.said('web', 'ServiceReady')).toBe('False TaskPending')
  })

  describe('under hashes of an earlier version', () => {
    const earlier = (spec: Spec, container: Spec): void => {
      const uid = String((spec['Labels'] as Spec)['swarmvirt.uid'])
      const Mounts = [
        { Type: 'bind', Source: `/var/lib/swarmvirt/instances/${uid}/disks`, Target: '/disks' },
        { Type: 'bind', Source: `/var/lib/swarmvirt/sockets/${uid}`, Target: '/run/broker', ReadOnly: true },
      ]
      Object.assign(dig(spec, 'TaskTemplate', 'ContainerSpec') as Spec, { User: '30710:30700', Mounts, ...container })
      const labels = spec['Labels'] as Spec
      for (const which of ['applied', 'desired', 'template']) labels[`swarmvirt.hash.${which}`] = 'of-the-earlier-version'
      labels['swarmvirt.hash.version'] = '0'
    }

    test('is not what another user and other mounts of that release are', async () => {
      const cluster = await running()
      cluster.swarm.edit(service, (spec) => earlier(spec, {}))
      const [before, starts] = [containerOf(cluster), cluster.starts('web')]
      await cluster.converge()
      expect(containerOf(cluster)).toEqual(before)
      expect(cluster.starts('web')).toBe(starts)
      expect(cluster.corrected).toEqual([])
      expect(cluster.swarm.service(service)?.labels['swarmvirt.hash.version']).toBe('1')
      expect(cluster.said('web', 'RestartRequired')).toBe('False UpToDate')
    })

    test.each<[string, Spec]>([
      ['root', { User: '0:0' }],
      ['the user of the agent', { User: '30701:30700' }],
      ['a capability', { CapabilityAdd: ['NET_ADMIN'] }],
      ['the directory of another VM', { Mounts: [{ Type: 'bind', Source: '/var/lib/swarmvirt/instances/another', Target: '/vm' }] }],
      ['a way out of its own directory', { Mounts: [{ Type: 'bind', Source: '/var/lib/swarmvirt/instances/UID/../..', Target: '/vm' }] }],
      ['a volume', { Mounts: [{ Type: 'volume', Source: 'shop', Target: '/shop' }] }],
    ])('is %s', async (_what, container) => {
      const cluster = await running()
      const before = containerOf(cluster)
      const uid = cluster.record('web')?.uid ?? ''
      cluster.swarm.edit(service, (spec) => earlier(spec, JSON.parse(JSON.stringify(container).replace('UID', uid)) as Spec))
      await cluster.converge()
      expect(containerOf(cluster)).toEqual(before)
    })
  })
})
