import { beforeEach, describe, expect, test } from 'vitest'
import { launchIn } from '../../../src/reconcilers/shared/applied.ts'
import { launchConfigName } from '../../../src/reconcilers/shared/vm-service.ts'
import { behindNat } from '../../../src/reconcilers/shared/rendered-networks.ts'
import { aVm, Cluster, type SpecChanges } from '../../simulation/cluster.ts'

let cluster: Cluster
beforeEach(() => {
  cluster = new Cluster()
})

const br7 = { name: 'br7', mtu: 1500, vlanFiltering: 'absent', carrier: true, up: true, address: null } as const
const lan = { networks: [{ name: 'lan', bridge: 'br0' }] }
const fallsBack = { networks: [{ name: 'lan', bridge: 'br7', fallback: 'user' }] }

/** The NICs that the service of web starts with. */
function nics() {
  const service = cluster.swarm.service('vm-web')
  const name = service && launchConfigName(service)
  const config = name === undefined ? undefined : cluster.swarm.config(name)
  return config && launchIn(config.data)?.nics
}

test('a network that is down stays down behind NAT', () => {
  const { vm } = aVm('web', { networks: [{ name: 'lan', bridge: 'br0', state: 'down' }] })
  expect(behindNat(vm, ['lan']).spec.networks[0]).toMatchObject({ state: 'down', user: {} })
})

const fallback = () => cluster.condition('web', 'NetworkFallback')

/** Makes room for the edit that waits. */
async function restart(): Promise<void> {
  const halted = cluster.declared.get('web')
  if (halted?.kind !== 'present') throw new Error('web is not declared')
  cluster.declared.set('web', { ...halted, vm: { ...halted.vm, spec: { ...halted.vm.spec, runStrategy: 'Halted' } } })
  await cluster.converge()
  cluster.declared.set('web', halted)
  await cluster.converge()
}

describe('the cluster setting that puts every NIC behind NAT', () => {
  test('applies at a restart, keeps name and MAC, and is undone by the next restart without it', async () => {
    cluster.declare('web', lan)
    await cluster.converge()
    const before = nics()
    cluster.settings = { ...cluster.settings, networkMode: 'user' }
    await cluster.converge()
    expect(nics()).toEqual(before)
    expect(cluster.said('web', 'RestartRequired')).toBe('True SpecChanged')
    expect(fallback()).toMatchObject({ status: 'True', reason: 'UserModeForced' })
    await restart()
    expect(nics()).toEqual([
      {
        name: 'lan',
        mac: before?.[0]?.mac,
        user: { ports: [{ name: 'ssh', guest: 22, protocol: 'tcp', published: cluster.record('web')?.sshPort }] },
      },
    ])
    cluster.settings = { ...cluster.settings, networkMode: 'manifest' }
    await restart()
    expect(nics()).toEqual(before)
    expect(cluster.said('web', 'RestartRequired')).toBe('False UpToDate')
  })

  test('restarts a VM with updatePolicy: Restart, and no other', async () => {
    cluster.declare('web', { ...lan, updatePolicy: 'Restart' })
    cluster.declare('calm', lan)
    await cluster.converge()
    cluster.settings = { ...cluster.settings, networkMode: 'user' }
    await cluster.converge()
    expect([cluster.starts('web'), cluster.starts('calm')]).toEqual([2, 1])
    expect(nics()?.[0]?.user).toBeDefined()
  })
})

describe('a network with fallback: user', () => {
  test('is behind NAT when no node has its bridge, and returns to the bridge at a restart once its node has it', async () => {
    cluster.declare('web', fallsBack)
    await cluster.converge()
    expect(cluster.record('web')?.fallback).toEqual(['lan'])
    expect(nics()).toMatchObject([{ name: 'lan', user: {} }])
    expect(fallback()?.reason).toBe('BridgeMissing')
    const mac = nics()?.[0]?.mac
    cluster.agent('n1').nodeFacts.broker?.bridges.push({ ...br7 })
    await cluster.converge()
    expect(cluster.record('web')?.fallback).toEqual([])
    expect(cluster.said('web', 'RestartRequired')).toBe('True SpecChanged')
    expect(cluster.starts('web')).toBe(1)
    await restart()
    expect(nics()).toEqual([{ name: 'lan', mac, bridge: 'br7' }])
  })

  test('stays behind NAT when its record is lost, also if another node has the bridge by now', async () => {
    cluster.declare('web', { ...fallsBack, updatePolicy: 'Restart' })
    await cluster.converge()
    cluster.agent('n2').nodeFacts.broker?.bridges.push({ ...br7 })
    await cluster.swarm.removeConfig(cluster.record('web')?.config.id ?? '')
    await cluster.converge()
    expect([cluster.record('web')?.node, cluster.record('web')?.fallback, cluster.starts('web')]).toEqual(['node-n1', ['lan'], 1])
    expect(nics()).toMatchObject([{ user: {} }])
  })

  test('waits for the node that has the bridge, and is not placed behind NAT elsewhere', async () => {
    cluster.agent('n2').nodeFacts.broker?.bridges.push({ ...br7 })
    cluster.declare('web', fallsBack)
    await cluster.converge()
    expect([cluster.record('web')?.node, cluster.record('web')?.fallback]).toEqual(['node-n2', []])
    expect(nics()).toMatchObject([{ bridge: 'br7' }])
  })

  test('keeps a running VM on its bridge while that is down, and falls back when the VM is switched on without it', async () => {
    cluster.agent('n1').nodeFacts.broker?.bridges.push({ ...br7 })
    cluster.declare('web', fallsBack)
    await cluster.converge()
    const { broker } = cluster.agent('n1').nodeFacts
    broker?.bridges.pop()
    await cluster.converge()
    expect(cluster.record('web')?.fallback).toEqual([])
    expect(cluster.said('web', 'RestartRequired')).toBe('False UpToDate')
    await restart()
    expect(cluster.record('web')?.fallback).toEqual(['lan'])
    expect(nics()?.[0]?.user).toBeDefined()
  })
})

test('a VM behind NAT has one SSH port, and a forward for the readiness probe unless there is one', () => {
  const usersOf = (spec: SpecChanges) => behindNat(aVm('web', spec).vm, ['lan', 'dmz']).spec.networks.map(({ user }) => user)
  const two = [
    { name: 'lan', bridge: 'br0' },
    { name: 'dmz', bridge: 'br1' },
  ]
  const readiness = { name: 'readiness', guest: 80, protocol: 'tcp' }
  expect(usersOf({ networks: two, readiness: { tcp: 80 } })).toEqual([
    { ssh: 'auto', ports: [readiness] },
    { ssh: 'off', ports: [] },
  ])
  expect(usersOf({ networks: two, readiness: { tcp: 22 } })[0]).toEqual({ ssh: 'auto', ports: [] })
  const mgmt = { name: 'mgmt', user: { ssh: 2_222, ports: [{ name: 'web', guest: 80 }] } }
  expect(usersOf({ networks: [...two, mgmt], readiness: { tcp: 80 } })[0]).toEqual({ ssh: 'off', ports: [] })
})
