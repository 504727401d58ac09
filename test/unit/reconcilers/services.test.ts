import { describe, expect, test } from 'vitest'
import { launchConfig } from '../../../src/api/wire/launch.ts'
import { servicesReconciler } from '../../../src/reconcilers/services/index.ts'
import { dig, rawList } from '../../../src/reconcilers/shared/raw.ts'
import { Cluster } from '../../simulation/cluster.ts'
import { stored } from '../../simulation/docker-rules.ts'
import { aVmName } from '../../support/branded.ts'

type Spec = Record<string, unknown>
const service = 'vm-web'

/** A VM that was started once and runs. */
async function running(spec: Record<string, unknown> = {}): Promise<Cluster> {
  const cluster = new Cluster()
  cluster.declare('web', spec)
  await cluster.converge()
  expect(cluster.starts('web')).toBe(1)
  return cluster
}

function container(cluster: Cluster): Spec {
  return dig(cluster.swarm.service(service)?.spec, 'TaskTemplate', 'ContainerSpec') as Spec
}

function memoryLimit(cluster: Cluster): unknown {
  return dig(cluster.swarm.service(service)?.spec, 'TaskTemplate', 'Resources', 'Limits', 'MemoryBytes')
}

function limitMemory(bytes: number): (spec: Spec) => void {
  return (spec) => Object.assign(dig(spec, 'TaskTemplate', 'Resources', 'Limits') as Spec, { MemoryBytes: bytes })
}

function force(spec: Spec): void {
  const template = spec['TaskTemplate'] as Spec
  template['ForceUpdate'] = Number(template['ForceUpdate']) + 1
}

function launchOf(cluster: Cluster) {
  const name = dig(rawList(container(cluster)['Configs'])[0], 'ConfigName')
  return launchConfig.parse(JSON.parse(new TextDecoder().decode(cluster.swarm.config(String(name))?.data)))
}

describe('a service that is made', () => {
  test('has no capability, no device, no host network, no root and no writable root file system', async () => {
    const cluster = await running({ accelerator: 'auto' })
    expect(container(cluster)).toMatchObject({
      User: '30702:30700',
      ReadOnly: true,
      CapabilityDrop: ['ALL'],
      Init: true,
      StopSignal: 'SIGTERM',
      DNSConfig: { Nameservers: ['127.0.0.1'] },
    })
    expect(rawList(container(cluster)['Command']).slice(0, 3)).toEqual(['setpriv', '--no-new-privs', 'node'])
    const template = dig(cluster.swarm.service(service)?.spec, 'TaskTemplate')
    expect(dig(template, 'Resources', 'Limits', 'Pids')).toBe(512)
    expect(dig(template, 'LogDriver')).toEqual({ Name: 'json-file', Options: { 'max-size': '10m', 'max-file': '3' } })
    expect(container(cluster)['CapabilityAdd']).toBeUndefined()
    expect(container(cluster)['Env']).toBeUndefined()
    const uid = cluster.record('web')?.uid
    expect(container(cluster)['Mounts']).toEqual([
      { Type: 'tmpfs', Target: '/tmp', TmpfsOptions: { SizeBytes: 64 * 1024 ** 2, Mode: 0o1777 } },
      { Type: 'bind', Source: `/var/lib/swarmvirt/instances/${uid}`, Target: '/vm' },
      { Type: 'bind', Source: `/var/lib/swarmvirt/sockets/${uid}`, Target: '/broker', ReadOnly: true },
    ])
    expect(dig(cluster.swarm.service(service)?.spec, 'TaskTemplate', 'Networks')).toEqual([{ Target: 'id-of-guests', Aliases: ['web'] }])
  })

  test('is constrained to its node and to capability, and to nothing else', async () => {
    const cluster = await running()
    expect(dig(cluster.swarm.service(service)?.spec, 'TaskTemplate', 'Placement')).toEqual({
      Constraints: ['node.id==node-n1', 'node.labels.vm-capable==true'],
      MaxReplicas: 1,
    })
  })

  test('asks for no new privileges where the API has it, and takes no drift from a leader that drops it', async () => {
    const cluster = new Cluster()
    cluster.swarm.api = '1.44'
    cluster.declare('web')
    await cluster.converge()
    const privileges = container(cluster)['Privileges']
    expect(privileges).toMatchObject({ NoNewPrivileges: true, Seccomp: { Mode: 'custom' } })
    const stored = JSON.parse(Buffer.from(String(dig(privileges, 'Seccomp', 'Profile')), 'base64').toString()) as unknown
    expect(stored).toMatchObject({ defaultAction: 'SCMP_ACT_ERRNO' })
    cluster.swarm.edit(service, (spec) => {
      delete (dig(spec, 'TaskTemplate', 'ContainerSpec') as Spec)['Privileges']
    })
    const starts = cluster.starts('web')
    await cluster.converge()
    expect(cluster.starts('web')).toBe(starts)
  })

  test('is made in one look with the objects that it refers to', async () => {
    const cluster = await running({ cloudInit: { userData: '#cloud-config\n' } })
    await cluster.swarm.removeService(cluster.swarm.service(service)?.id ?? '')
    for (const { id, name } of cluster.swarm.configs.values()) if (!name.startsWith('sv-vm-')) await cluster.swarm.removeConfig(id)
    for (const { id } of cluster.swarm.secrets.values()) await cluster.swarm.removeSecret(id)
    await cluster.run(servicesReconciler(cluster.ports()), 'web')
    const [config] = rawList(container(cluster)['Configs'])
    const [secret] = rawList(container(cluster)['Secrets'])
    expect(cluster.swarm.configs.has(String(dig(config, 'ConfigID')))).toBe(true)
    expect(cluster.swarm.secrets.has(String(dig(secret, 'SecretID')))).toBe(true)
  })

  test('refers to the launch config that exists when the plan is applied, not to the one that the plan saw', async () => {
    const cluster = await running()
    cluster.declare('web', { runStrategy: 'Halted' })
    await cluster.converge()
    cluster.declare('web')
    const services = servicesReconciler(cluster.ports())
    const { signal } = new AbortController()
    const { actions } = services.plan(await services.observe(aVmName('web'), signal), cluster.nowMs)
    const seen = cluster.swarm.config(String(dig(rawList(container(cluster)['Configs'])[0], 'ConfigName')))
    if (seen === undefined) throw new Error('web has no launch config')
    cluster.swarm.configs.delete(seen.id)
    const id = await cluster.swarm.createConfig(seen.name, seen.labels, seen.data)
    for (const action of actions) await services.apply(action, signal)
    expect(rawList(container(cluster)['Configs'])[0]).toMatchObject({ ConfigID: id, ConfigName: seen.name })
    await cluster.converge()
    expect(cluster.starts('web')).toBe(2)
  })

  test('has a launch config without secrets, and user data as a secret', async () => {
    const cluster = await running({
      cloudInit: {
        userData: '#cloud-config\npassword: hunter2\n',
        sshAuthorizedKeys: ['ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGqM6Q0i7Kt5i0v8v0R3k7v7m0bq0o6v8Qw0t6wWm3xk me'],
      },
    })
    expect(launchOf(cluster)).toMatchObject({ vm: 'web', cores: 1, memoryMiB: 512, cloudInit: { hostname: 'web', hasUserData: true } })
    expect(JSON.stringify([...cluster.swarm.configs.values(), ...cluster.swarm.services.values()])).not.toContain('hunter2')
    expect(rawList(container(cluster)['Secrets'])[0]).toMatchObject({ File: { Name: 'userdata', UID: '30702', GID: '30700', Mode: 0o400 } })
    expect([...cluster.swarm.secrets.values()].map((one) => new TextDecoder().decode(one.data))).toEqual([
      '#cloud-config\npassword: hunter2\n',
    ])
  })

  test('of a halted VM has no task, and is ready', async () => {
    const cluster = new Cluster()
    cluster.declare('web', { runStrategy: 'Halted' })
    await cluster.converge()
    expect(cluster.swarm.tasksOf(service)).toEqual([])
    expect(cluster.said('web', 'ServiceReady')).toBe('True Halted')
    expect(cluster.said('web', 'GuestRunning')).toBe('False Halted')
  })
})

describe('drift', () => {
  test('of the template is corrected once, and the running VM shows it', async () => {
    const cluster = await running()
    const before = memoryLimit(cluster)
    cluster.swarm.edit(service, limitMemory(64 * 1024 ** 2))
    expect(cluster.starts('web')).toBe(2)
    await cluster.converge()
    expect(memoryLimit(cluster)).toBe(before)
    expect(cluster.starts('web')).toBe(3)
    cluster.swarm.edit(service, limitMemory(32 * 1024 ** 2))
    await cluster.converge()
    expect(memoryLimit(cluster)).toBe(before)
    cluster.swarm.edit(service, limitMemory(64 * 1024 ** 2))
    await cluster.converge()
    expect(memoryLimit(cluster)).toBe(before)
  })

  const changes: readonly [string, (spec: Spec) => void][] = [
    ['an environment variable', (spec) => Object.assign(dig(spec, 'TaskTemplate', 'ContainerSpec') as Spec, { Env: ['A=1'] })],
    ['a capability', (spec) => Object.assign(dig(spec, 'TaskTemplate', 'ContainerSpec') as Spec, { CapabilityAdd: ['NET_ADMIN'] })],
    ['a published port', (spec) => Object.assign(spec['EndpointSpec'] as Spec, { Ports: [{ TargetPort: 80, PublishMode: 'host' }] })],
    [
      'a constraint less',
      (spec) => Object.assign(dig(spec, 'TaskTemplate', 'Placement') as Spec, { Constraints: ['node.labels.vm-capable==true'] }),
    ],
    ['another image', (spec) => Object.assign(dig(spec, 'TaskTemplate', 'ContainerSpec') as Spec, { Image: 'evil:1' })],
    ['another restart policy', (spec) => Object.assign(dig(spec, 'TaskTemplate', 'RestartPolicy') as Spec, { Condition: 'none' })],
  ]
  test.each(changes)('%s is restored', async (_name, change) => {
    const cluster = await running()
    const before = structuredClone(cluster.swarm.service(service)?.spec['TaskTemplate'])
    cluster.swarm.edit(service, change)
    await cluster.converge()
    expect(cluster.swarm.service(service)?.spec['TaskTemplate']).toEqual(before)
    expect(dig(cluster.swarm.service(service)?.spec, 'EndpointSpec', 'Ports')).toBeUndefined()
  })

  test('that Docker makes by normalizing a write restarts a VM at most once, never forever', async () => {
    const cluster = new Cluster()
    cluster.swarm.storing = (spec) => {
      const kept = stored(spec)
      Object.assign(dig(kept, 'TaskTemplate', 'ContainerSpec') ?? {}, { StopSignal: '15' })
      return kept
    }
    cluster.declare('web')
    await cluster.converge()
    expect(cluster.starts('web')).toBeLessThanOrEqual(2)
    expect(cluster.said('web', 'RestartRequired')).toBe('False UpToDate')
    cluster.swarm.edit(service, limitMemory(64 * 1024 ** 2))
    await cluster.converge()
    expect(memoryLimit(cluster)).toBe(768 * 1024 ** 2)
  })

  test('of replicas is corrected', async () => {
    const cluster = await running()
    cluster.swarm.edit(service, (spec) => Object.assign(spec, { Mode: { Replicated: { Replicas: 0 } } }))
    await cluster.converge()
    expect(cluster.swarm.running(service)?.state).toBe('running')
  })

  test('of the update policy is corrected without a restart', async () => {
    const cluster = await running()
    cluster.swarm.edit(service, (spec) => Object.assign(spec['UpdateConfig'] as Spec, { Order: 'start-first' }))
    await cluster.converge()
    expect(dig(cluster.swarm.service(service)?.spec, 'UpdateConfig', 'Order')).toBe('stop-first')
    expect(cluster.starts('web')).toBe(1)
  })

  test('of each label of ours except managed-by is corrected without a restart, and foreign labels stay', async () => {
    const cluster = await running()
    const labels = cluster.swarm.service(service)?.labels ?? {}
    for (const key of Object.keys(labels).filter((one) => one !== 'swarmvirt.managed-by')) {
      cluster.swarm.edit(service, (spec) => {
        const { [key]: _gone, ...rest } = spec['Labels'] as Spec
        spec['Labels'] = { ...rest, team: 'blue' }
      })
      await cluster.converge()
      expect(cluster.swarm.service(service)?.labels, key).toEqual({ ...labels, team: 'blue' })
    }
    expect(cluster.starts('web')).toBe(1)
  })

  test('of all our labels at once is corrected too, also after an upgrade with another template', async () => {
    const cluster = await running()
    const labels = cluster.swarm.service(service)?.labels
    cluster.settings = { ...cluster.settings, runnerImage: 'swarmvirt-node:2' }
    cluster.swarm.edit(service, (spec) => {
      spec['Labels'] = { 'swarmvirt.managed-by': 'swarmvirt' }
    })
    await cluster.converge()
    expect(cluster.swarm.service(service)?.labels).toEqual(labels)
    expect(cluster.starts('web')).toBe(1)
  })
})

describe('nothing is restarted by', () => {
  test('a release that renders another template', async () => {
    const cluster = await running()
    cluster.settings = { ...cluster.settings, runnerImage: 'swarmvirt-node:2', memoryOverheadMiB: 400 }
    cluster.swarm.api = '1.47'
    const writes = cluster.swarm.writes
    await cluster.converge()
    expect(cluster.swarm.writes).toBe(writes)
  })

  test('a release that hashes otherwise', async () => {
    const cluster = await running()
    cluster.swarm.edit(service, (spec) => {
      const labels = spec['Labels'] as Spec
      spec['Labels'] = {
        ...labels,
        'swarmvirt.hash.version': '0',
        'swarmvirt.hash.applied': 'x',
        'swarmvirt.hash.desired': 'x',
        'swarmvirt.hash.template': 'y',
      }
    })
    await cluster.converge()
    expect(cluster.starts('web')).toBe(1)
    expect(cluster.said('web', 'RestartRequired')).toBe('False UpToDate')
  })

  test('a label added with the docker CLI, which sorts mounts by source and target in passing', async () => {
    const cluster = await running()
    cluster.swarm.edit(service, (spec) => {
      const mounts = rawList(container(cluster)['Mounts']) as Spec[]
      const key = (one: Spec): string => JSON.stringify([one['Source'] ?? '', one['Target']])
      Object.assign(dig(spec, 'TaskTemplate', 'ContainerSpec') as Spec, { Mounts: mounts.toSorted((a, b) => (key(a) < key(b) ? -1 : 1)) })
      spec['Labels'] = { ...(spec['Labels'] as Spec), team: 'blue' }
    })
    await cluster.converge()
    expect(cluster.starts('web')).toBe(1)
  })

  test('a digest that the docker CLI adds to the image', async () => {
    const cluster = await running()
    const starts = (): number => cluster.starts('web')
    cluster.swarm.edit(service, (spec) =>
      Object.assign(dig(spec, 'TaskTemplate', 'ContainerSpec') as Spec, { Image: `swarmvirt-node:1@sha256:${'a'.repeat(64)}` }),
    )
    const before = starts()
    await cluster.converge()
    expect(starts()).toBe(before)
  })
})

describe('an edit', () => {
  test('waits for a restart, and is applied when a person forces one', async () => {
    const cluster = await running()
    cluster.declare('web', { memory: '1Gi' })
    await cluster.converge()
    expect(cluster.starts('web')).toBe(1)
    expect(cluster.said('web', 'RestartRequired')).toBe('True SpecChanged')
    const labels = cluster.swarm.service(service)?.labels ?? {}
    expect(labels['swarmvirt.hash.applied']).not.toBe(labels['swarmvirt.hash.desired'])
    cluster.swarm.edit(service, force)
    await cluster.converge()
    expect(launchOf(cluster).memoryMiB).toBe(1024)
    expect(memoryLimit(cluster)).toBe(1280 * 1024 ** 2)
    expect(cluster.said('web', 'RestartRequired')).toBe('False UpToDate')
    expect(dig(cluster.swarm.service(service)?.spec, 'TaskTemplate', 'ForceUpdate')).toBe(1)
  })

  test('is taken back without a trace when the manifest goes back', async () => {
    const cluster = await running()
    const labels = cluster.swarm.service(service)?.labels
    cluster.declare('web', { memory: '1Gi' })
    await cluster.converge()
    cluster.declare('web')
    await cluster.converge()
    expect(cluster.swarm.service(service)?.labels).toEqual(labels)
    expect(cluster.starts('web')).toBe(1)
  })

  test('is applied when the VM is halted, and starts with it', async () => {
    const cluster = await running()
    cluster.declare('web', { cpu: { cores: 2 } })
    await cluster.converge()
    cluster.declare('web', { cpu: { cores: 2 }, runStrategy: 'Halted' })
    await cluster.converge()
    expect(cluster.swarm.running(service)).toBeUndefined()
    expect(launchOf(cluster).cores).toBe(2)
    cluster.declare('web', { cpu: { cores: 2 } })
    await cluster.converge()
    expect(cluster.starts('web')).toBe(2)
  })

  test('of user data changes the secret, and the old objects are collected once nothing goes back to them', async () => {
    const cluster = await running({ cloudInit: { userData: 'one' } })
    for (const userData of ['two', 'three', 'four']) {
      cluster.nowMs += 3_600_000
      cluster.declare('web', { cloudInit: { userData }, runStrategy: 'Halted' })
      await cluster.converge()
    }
    cluster.nowMs += 3_600_000
    cluster.declare('web', { cloudInit: { userData: 'four' } })
    await cluster.converge()
    expect([...cluster.swarm.secrets.values()].map((one) => new TextDecoder().decode(one.data))).toEqual(['four'])
    expect(cluster.errors).toEqual([])
  })

  test('forced restarts alone are adopted', async () => {
    const cluster = await running()
    cluster.swarm.edit(service, force)
    await cluster.converge()
    expect(cluster.starts('web')).toBe(2)
    expect(cluster.swarm.service(service)?.labels['swarmvirt.force-update']).toBe('1')
  })
})

describe('ownership', () => {
  test('a service removed by hand is made again with the same uid', async () => {
    const cluster = await running()
    const uid = cluster.record('web')?.uid
    await cluster.swarm.removeService(cluster.swarm.service(service)?.id ?? '')
    await cluster.converge()
    expect(cluster.swarm.service(service)?.labels['swarmvirt.uid']).toBe(uid)
    expect(cluster.swarm.running(service)?.state).toBe('running')
  })

  test('a service that a person took from us is left alone, whatever happens to the manifest', async () => {
    const cluster = await running()
    cluster.swarm.edit(service, (spec) => {
      const { 'swarmvirt.managed-by': _gone, ...rest } = spec['Labels'] as Spec
      spec['Labels'] = rest
    })
    const writes = cluster.swarm.writes
    await cluster.converge()
    expect(cluster.said('web', 'Owned')).toBe('False OwnershipLost')
    cluster.remove('web')
    await cluster.converge()
    expect(cluster.swarm.writes).toBe(writes)
    expect(cluster.starts('web')).toBe(1)
  })

  test('a service of the same name that never was ours is left alone', async () => {
    const cluster = new Cluster()
    const TaskTemplate = { ContainerSpec: { Image: 'other:1' } }
    await cluster.swarm.createService({ Name: service, Labels: {}, Mode: { Replicated: { Replicas: 1 } }, TaskTemplate })
    cluster.declare('web')
    await cluster.converge()
    expect(cluster.said('web', 'Owned')).toBe('False NameTaken')
    cluster.remove('web')
    await cluster.converge()
    expect(cluster.swarm.service(service)?.spec['Labels']).toEqual({})
  })

  test('a service with the uid of another VM is left alone', async () => {
    const cluster = await running()
    const alien = '99999999-2222-4333-8444-555555555555'
    cluster.swarm.edit(service, (spec) => Object.assign(spec['Labels'] as Spec, { 'swarmvirt.uid': alien }))
    await cluster.converge()
    expect(cluster.said('web', 'Owned')).toBe('False ForeignUid')
    cluster.remove('web')
    await cluster.converge()
    expect(cluster.swarm.service(service)).toBeDefined()
  })

  test('of a removed VM nothing is left but the placement record', async () => {
    const cluster = await running({ cloudInit: { userData: 'x' } })
    cluster.remove('web')
    await cluster.converge()
    expect([...cluster.swarm.configs.values()].map((one) => one.name)).toEqual(['sv-vm-web'])
    expect(cluster.swarm.secrets.size).toBe(0)
    expect(cluster.swarm.services.size).toBe(0)
  })
})

describe('ServiceReady', () => {
  test('says what Swarm says of a task that finds no node', async () => {
    const cluster = await running()
    Object.assign(cluster.swarm.nodes.get('node-n1') ?? {}, { availability: 'pause' })
    cluster.swarm.edit('vm-web', (spec) => void ((spec['TaskTemplate'] as Record<string, unknown>)['ForceUpdate'] = 1))
    await cluster.converge()
    expect(cluster.condition('web', 'ServiceReady')).toMatchObject({
      reason: 'TaskPending',
      message: expect.stringContaining('no suitable node'),
    })
  })

  test('names the full overlay when a task stays in new without an error', async () => {
    const cluster = await running()
    for (const task of cluster.swarm.tasks.values()) Object.assign(task, { state: 'new', message: '', error: '' })
    await cluster.round()
    expect(cluster.said('web', 'ServiceReady')).toBe('False TaskPending')
    cluster.nowMs += 11_000
    await cluster.round()
    expect(cluster.condition('web', 'ServiceReady')).toMatchObject({
      reason: 'TaskStuckInNew',
      message: expect.stringContaining('no address left'),
    })
  })

  test('of a task that only ever starts tells of the failure before', async () => {
    const cluster = await running()
    const [task] = cluster.swarm.tasks.values()
    if (task === undefined) throw new Error('no task')
    cluster.swarm.tasks.set('old', {
      ...task,
      id: 'old',
      state: 'rejected',
      desiredState: 'shutdown',
      error: 'invalid mount config',
      updatedAt: new Date(cluster.nowMs).toISOString(),
    })
    Object.assign(task, { state: 'starting' })
    await cluster.round()
    expect(cluster.condition('web', 'ServiceReady')).toMatchObject({
      reason: 'TaskRejected',
      message: expect.stringContaining('invalid mount config'),
    })
  })
})

test('a service that waits for its disks, or for minutes for a node, is not reconciled twice a second', async () => {
  const cluster = new Cluster()
  cluster.declare('web')
  const wait = async (): Promise<unknown> => (await cluster.run(servicesReconciler(cluster.ports()), 'web'))?.next
  expect(await wait()).toEqual({ kind: 'requeueAfter', ms: 5_000 })
  await cluster.converge()
  for (const task of cluster.swarm.tasks.values()) Object.assign(task, { state: 'pending' })
  expect(await wait()).toEqual({ kind: 'requeueAfter', ms: 500 })
  cluster.nowMs += 600_000
  expect(await wait()).toEqual({ kind: 'requeueAfter', ms: 60_000 })
})
