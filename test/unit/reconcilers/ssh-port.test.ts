import { beforeEach, describe, expect, test } from 'vitest'
import { objectLabels } from '../../../src/api/labels.ts'
import { dig, rawList } from '../../../src/reconcilers/shared/raw.ts'
import { chooseSshPort } from '../../../src/api/ssh-port.ts'
import { Cluster } from '../../simulation/cluster.ts'
import { aVmName } from '../../support/branded.ts'

const behindNat = { networks: [{ name: 'mgmt', user: { ssh: 'auto' } }] }
const names = Array.from({ length: 150 }, (_, index) => `vm-${index}`)

let cluster: Cluster
beforeEach(() => {
  cluster = new Cluster()
})

const portOf = (name: string): number | undefined => cluster.record(name)?.sshPort
const published = (name: string): unknown =>
  rawList(dig(cluster.swarm.service(`vm-${name}`)?.spec, 'EndpointSpec', 'Ports')).map((one) => dig(one, 'PublishedPort'))

/** The labels of a record, as a person or a fault changes them. */
function relabel(name: string, change: (labels: Record<string, string>) => void): void {
  const config = cluster.swarm.config(`sv-vm-${name}`)
  if (config === undefined) throw new Error(`no record of ${name}`)
  change(config.labels)
}

/** As if each VM were the only one to be reconciled, in the order of the names. */
function expectedPorts(): Readonly<Record<string, number | undefined>> {
  const given = new Map<string, number | undefined>()
  for (const name of names.map(aVmName).toSorted()) given.set(name, chooseSshPort(name, [], new Set([...given.values()].map(Number))))
  return Object.fromEntries(given)
}

describe('the SSH port of a VM behind NAT', () => {
  test('150 VMs get 150 ports, which do not depend on the order of reconciles', { timeout: 120_000 }, async () => {
    for (const name of names.toReversed())
      cluster.declare(name, { ...behindNat, memory: '32Mi', resources: { memoryOverhead: '32Mi' }, disks: [{ name: 'root', size: '1Mi' }] })
    await cluster.converge(200)
    const ports = Object.fromEntries(names.map((name) => [name, portOf(name)]))
    expect(new Set(Object.values(ports))).toEqual(new Set(Array.from({ length: 150 }, (_, index) => 10_022 + index)))
    expect(ports).toEqual(expectedPorts())
  })

  test('is published by the service, and kept when other VMs come and when the manifest stops asking for it', async () => {
    cluster.declare('web', behindNat)
    await cluster.converge()
    const port = portOf('web')
    expect(published('web')).toEqual([port])
    for (const name of names.slice(0, 20)) cluster.declare(name, behindNat)
    cluster.declare('web', { networks: [{ name: 'mgmt', user: {} }] })
    await cluster.converge()
    cluster.declare('web', behindNat)
    await cluster.converge()
    expect([portOf('web'), published('web'), cluster.starts('web')]).toEqual([port, [port], 1])
  })

  test('is the one that the VM runs with if the record lost it, and a new controller keeps it', async () => {
    cluster.declare('web', behindNat)
    await cluster.converge()
    const port = portOf('web')
    // Another VM would choose the port of web if nobody had it.
    relabel('web', (labels) => delete labels[objectLabels.sshPort])
    cluster.declare('other', behindNat)
    await cluster.converge()
    expect(portOf('web')).toBe(port)
    expect(portOf('other')).not.toBe(port)
    expect(cluster.starts('web')).toBe(1)
  })

  test('is none that a service of a person, or a manifest, has already', async () => {
    cluster.declare('web', behindNat)
    await cluster.converge()
    const first = portOf('web') ?? 0
    cluster = new Cluster()
    const Ports = [{ Protocol: 'tcp', TargetPort: 80, PublishedPort: first, PublishMode: 'host' }]
    await cluster.swarm.createService({
      Name: 'theirs',
      TaskTemplate: { ContainerSpec: { Image: 'x' } },
      EndpointSpec: { Mode: 'dnsrr', Ports },
    })
    cluster.declare('fixed', { networks: [{ name: 'mgmt', user: { ports: [{ name: 'x', guest: 1, published: first + 1 }] } }] })
    cluster.declare('web', behindNat)
    await cluster.converge()
    expect(portOf('web')).toBeGreaterThan(first + 1)
  })

  test('two controllers that gave it to two VMs at once agree on which one keeps it', async () => {
    cluster.declare('web', behindNat)
    await cluster.converge()
    cluster.declare('late', { ...behindNat, updatePolicy: 'Restart' })
    await cluster.converge()
    const port = portOf('web')
    relabel('late', (labels) => (labels[objectLabels.sshPort] = String(port)))
    await cluster.converge()
    expect(portOf('web')).toBe(port)
    expect(portOf('late')).not.toBe(port)
    expect(published('late')).toEqual([portOf('late')])
    expect(cluster.starts('web')).toBe(1)
  })
})

describe('a port that another service publishes', () => {
  const web = (published: number) => ({ networks: [{ name: 'mgmt', user: { ports: [{ name: 'web', guest: 80, published }] } }] })
  async function theirs(port: number): Promise<string> {
    const Ports = [{ Protocol: 'tcp', TargetPort: 80, PublishedPort: port, PublishMode: 'ingress' }]
    const EndpointSpec = { Mode: 'vip', Ports }
    return cluster.swarm.createService({ Name: 'theirs', TaskTemplate: { ContainerSpec: { Image: 'x' } }, EndpointSpec })
  }

  test('keeps a new VM from being created, with the name of the service, until it is free', async () => {
    const id = await theirs(8_080)
    cluster.declare('web', web(8_080))
    await cluster.converge()
    expect(cluster.condition('web', 'ServiceReady')).toMatchObject({
      reason: 'PortTaken',
      message: 'the service theirs publishes port 8080/tcp already',
    })
    await cluster.swarm.removeService(id)
    await cluster.converge()
    expect(published('web')).toEqual([8_080])
  })

  test('does not take a running VM down when an edit asks for it', async () => {
    await theirs(8_080)
    cluster.declare('web', { ...web(8_081), updatePolicy: 'Restart' })
    await cluster.converge()
    cluster.declare('web', { ...web(8_080), updatePolicy: 'Restart' })
    await cluster.converge()
    expect([cluster.starts('web'), published('web')]).toEqual([1, [8_081]])
    expect(cluster.condition('web', 'RestartRequired')?.message).toContain('the service theirs publishes port 8080/tcp already')
  })
})
