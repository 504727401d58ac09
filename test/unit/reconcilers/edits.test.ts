import { describe, expect, test } from 'vitest'
import { describeEdits, type Edit } from '../../../src/api/manifest/edits.ts'
import { parseVirtualMachine, type VirtualMachine } from '../../../src/api/manifest.ts'
import { launchConfig } from '../../../src/api/wire/launch.ts'
import { servicesReconciler } from '../../../src/reconcilers/services/index.ts'
import { editsBetween } from '../../../src/reconcilers/services/restart-inputs.ts'
import { dig, rawList } from '../../../src/reconcilers/shared/raw.ts'
import { aVm, Cluster, settings } from '../../simulation/cluster.ts'
import { started, wantedBy } from './started.ts'
import { aMac } from '../../support/branded.ts'

const service = 'vm-web'
const disks = [{ name: 'root', size: '2Gi', image: { source: 'images/tiny.qcow2' } }]
const networks = [{ name: 'lan', bridge: 'br0' }]

async function running(spec: Record<string, unknown> = {}): Promise<Cluster> {
  const cluster = new Cluster()
  cluster.declare('web', spec)
  await cluster.converge()
  return cluster
}

function declareOfClass(cluster: Cluster, name: string, under: Record<string, unknown>, own: Record<string, unknown> = {}): void {
  const document = {
    apiVersion: 'swarmvirt.dev/v1alpha1',
    kind: 'VirtualMachine',
    metadata: { name: 'web' },
    spec: { class: name, disks, networks, ...own },
  }
  const parsed = parseVirtualMachine(document, { name, spec: under })
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.issues))
  cluster.declared.set('web', { kind: 'present', vm: parsed.vm, generation: parsed.generation, source: 'directory' })
}

function message(cluster: Cluster): string {
  return cluster.condition('web', 'RestartRequired')?.message ?? ''
}

async function plannedEdits(cluster: Cluster): Promise<readonly Edit[] | undefined> {
  const plan = await cluster.run(servicesReconciler(cluster.ports()), 'web')
  return (plan as { readonly edits?: readonly Edit[] } | undefined)?.edits
}

function launchOf(cluster: Cluster) {
  const name = dig(rawList(dig(cluster.swarm.service(service)?.spec, 'TaskTemplate', 'ContainerSpec', 'Configs'))[0], 'ConfigName')
  return launchConfig.parse(JSON.parse(new TextDecoder().decode(cluster.swarm.config(String(name))?.data)))
}

describe('RestartRequired', () => {
  test('shows which fields of the manifest are waiting, with their running and declared values', async () => {
    const cluster = await running({ memory: '1Gi' })
    cluster.declare('web', { memory: '2Gi', cpu: { cores: 2 } })
    await cluster.converge()
    expect(cluster.starts('web')).toBe(1)
    expect(message(cluster)).toBe(
      'spec.cpu.cores 1 → 2, spec.memory 1 GiB → 2 GiB; to apply it: docker service update --force vm-web, or runStrategy: Halted and back',
    )
    expect(await plannedEdits(cluster)).toEqual([
      { path: 'spec.cpu.cores', from: '1', to: '2', effect: 'restart' },
      { path: 'spec.memory', from: '1 GiB', to: '2 GiB', effect: 'restart' },
    ])
  })

  test('names bridge, MAC and accelerator, and is over when the edit is taken back', async () => {
    const cluster = await running()
    cluster.declare('web', { accelerator: 'tcg', networks: [{ name: 'lan', bridge: 'br1', mac: aMac('52:54:00:00:00:99') }] })
    await cluster.converge()
    expect(message(cluster)).toContain('spec.accelerator auto → tcg')
    expect(message(cluster)).toMatch(/spec\.networks\[0\]\.mac 52:54:00:\S+ → 52:54:00:00:00:99, spec\.networks\[0\]\.bridge br0 → br1/)
    cluster.declare('web')
    await cluster.converge()
    expect(cluster.said('web', 'RestartRequired')).toBe('False UpToDate')
    expect(await plannedEdits(cluster)).toEqual([])
  })

  test('of user data and keys says only that they changed', async () => {
    const cluster = await running({ cloudInit: { userData: '#cloud-config\npassword: hunter2\n' } })
    cluster.declare('web', {
      cloudInit: {
        userData: '#cloud-config\npassword: letmein\n',
        sshAuthorizedKeys: ['ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGqM6Q0i7Kt5i0v8v0R3k7v7m0bq0o6v8Qw0t6wWm3xk me'],
      },
    })
    await cluster.converge()
    expect(message(cluster)).toContain('spec.cloudInit.sshAuthorizedKeys changed, spec.cloudInit.userData changed;')
    expect(JSON.stringify([message(cluster), await plannedEdits(cluster)])).not.toMatch(/hunter2|letmein|AAAA/)
  })

  test('of an edit of a class names the class on each field that the class gives', async () => {
    const cluster = new Cluster()
    declareOfClass(cluster, 'small', { memory: '1Gi', cpu: { cores: 1 } }, { cpu: { cores: 3 } })
    await cluster.converge()
    declareOfClass(cluster, 'small', { memory: '2Gi', cpu: { cores: 2 } }, { cpu: { cores: 4 } })
    await cluster.converge()
    expect(cluster.starts('web')).toBe(1)
    expect(message(cluster)).toContain('spec.cpu.cores 3 → 4, spec.memory 1 GiB → 2 GiB (class small);')
  })

  test('still says that there was an edit where the launch config that runs cannot be read', async () => {
    const cluster = await running()
    for (const one of cluster.swarm.configs.values()) {
      if (one.labels['swarmvirt.component'] === 'launch') Object.assign(one, { data: new TextEncoder().encode('{"version":9}') })
    }
    cluster.declare('web', { memory: '2Gi' })
    await cluster.converge()
    expect(message(cluster)).toContain('the manifest was edited since the VM started')
  })
})

describe('updatePolicy: Restart', () => {
  const restart = { updatePolicy: 'Restart' }

  test('applies an edit at once, with one restart', async () => {
    const cluster = await running(restart)
    cluster.declare('web', { ...restart, memory: '1Gi', cpu: { cores: 2 } })
    await cluster.converge()
    expect(cluster.starts('web')).toBe(2)
    expect(launchOf(cluster)).toMatchObject({ cores: 2, memoryMiB: 1024 })
    expect(cluster.said('web', 'RestartRequired')).toBe('False UpToDate')
    await cluster.converge()
    expect(cluster.starts('web')).toBe(2)
  })

  test('applies pending edits when it is set', async () => {
    const cluster = await running()
    cluster.declare('web', { memory: '1Gi' })
    await cluster.converge()
    expect(cluster.starts('web')).toBe(1)
    cluster.declare('web', { memory: '1Gi', ...restart })
    await cluster.converge()
    expect(cluster.starts('web')).toBe(2)
  })

  test('restarts nothing for a release that renders otherwise, nor for labels that were lost', async () => {
    const cluster = await running(restart)
    cluster.settings = { ...cluster.settings, runnerImage: 'swarmvirt-node:2', memoryOverheadMiB: 400 }
    await cluster.converge()
    cluster.swarm.edit(service, (spec) => {
      spec['Labels'] = { 'swarmvirt.managed-by': 'swarmvirt' }
    })
    for (const one of cluster.swarm.configs.values()) {
      if (one.labels['swarmvirt.component'] === 'launch') {
        const { 'swarmvirt.hash.applied': _applied, 'swarmvirt.hash.template': _template, ...rest } = one.labels
        Object.assign(one, { labels: rest })
      }
    }
    await cluster.converge()
    expect(cluster.starts('web')).toBe(1)
  })

  test.each([
    [{ networks: [{ name: 'lan', bridge: 'br7' }] }, 'it could not start again: n1 rejects'],
    [{ accelerator: 'kvm' }, 'it could not start again: n1 rejects'],
    [{ memory: '9000Gi' }, 'it could not start again: n1 has 8 GiB of memory, and the VM needs 8.8 TiB'],
  ])('does not stop a VM for what its node cannot run (%o)', async (edit, why) => {
    const cluster = await running(restart)
    cluster.declare('web', { ...restart, ...edit })
    await cluster.converge()
    expect(cluster.starts('web')).toBe(1)
    expect(message(cluster)).toContain(why)
  })

  test('applies what was held back when the node can run it', async () => {
    const cluster = await running(restart)
    cluster.declare('web', { ...restart, networks: [{ name: 'lan', bridge: 'br7' }] })
    await cluster.converge()
    cluster.agent('n1').nodeFacts.broker?.bridges.push({ name: 'br7', mtu: 1500, carrier: true, up: true, address: null })
    await cluster.converge()
    expect(cluster.starts('web')).toBe(2)
    expect(cluster.said('web', 'RestartRequired')).toBe('False UpToDate')
  })

  test('starts no VM that its edit halts, and applies the edit with it', async () => {
    const cluster = await running(restart)
    cluster.declare('web', { ...restart, memory: '1Gi', runStrategy: 'Halted' })
    await cluster.converge()
    expect(cluster.starts('web')).toBe(1)
    expect(launchOf(cluster).memoryMiB).toBe(1024)
  })
})

describe('a disk that the node has not made', () => {
  const renamed = { disks: [{ ...disks[0], name: 'system' }] }
  const refusal = { state: 'failed', reason: 'DiskRenameRefused', message: 'no' } as const

  test.each([{}, { updatePolicy: 'Restart' }])('is never started with, whatever restarts the VM (%o)', async (policy) => {
    const cluster = await running(policy)
    cluster.agent('n1').refusal = refusal
    cluster.declare('web', { ...policy, ...renamed, memory: '1Gi' })
    await cluster.converge()
    cluster.swarm.edit(service, (spec) => Object.assign(spec['TaskTemplate'] as object, { ForceUpdate: 5 }))
    await cluster.converge()
    expect(launchOf(cluster)).toMatchObject({ memoryMiB: 1024, disks: [{ name: 'root' }] })
    expect(cluster.said('web', 'AssetsReady')).toBe('False DiskRenameRefused')
  })

  test('is what a halted VM starts with once it is made', async () => {
    const cluster = await running()
    cluster.agent('n1').refusal = refusal
    cluster.declare('web', { ...renamed, runStrategy: 'Halted' })
    await cluster.converge()
    expect(launchOf(cluster).disks).toEqual([{ name: 'root' }])
    cluster.agent('n1').refusal = undefined
    await cluster.converge()
    expect(launchOf(cluster).disks).toEqual([{ name: 'system' }])
  })

  test('is not known from the record of an earlier release, but from what runs', async () => {
    const cluster = await running()
    for (const one of cluster.swarm.configs.values()) {
      const { 'swarmvirt.disks': _disks, ...rest } = one.labels
      Object.assign(one, { labels: rest })
    }
    cluster.agent('n1').refusal = refusal
    cluster.declare('web', { ...renamed, updatePolicy: 'Restart' })
    await cluster.converge()
    expect(cluster.starts('web')).toBe(1)
    expect(launchOf(cluster).disks).toEqual([{ name: 'root' }])
  })
})

describe('cloud-init', () => {
  const annotation = 'swarmvirt.dev/cloud-init-instance'
  const again = (cluster: Cluster, value: string): void => {
    const declared = cluster.declared.get('web')
    if (declared?.kind !== 'present') throw new Error('web is not declared')
    const metadata = { ...declared.vm.metadata, annotations: { [annotation]: value } }
    cluster.declared.set('web', { ...declared, vm: { ...declared.vm, metadata } })
  }

  test('is not said to take an edit with a restart alone', async () => {
    const cluster = await running()
    cluster.declare('web', { cloudInit: { userData: '#cloud-config' } })
    await cluster.converge()
    expect(message(cluster)).toMatch(
      /^spec\.cloudInit\.userData changed; to apply it: .*; cloud-init applies most of cloudInit only at the first boot/,
    )
    expect((await plannedEdits(cluster))?.map((one) => one.effect)).toEqual(['first-boot'])
  })

  test('has another instance after the restart that a new value of the annotation waits for', async () => {
    const cluster = await running()
    const { uid, cloudInit } = launchOf(cluster)
    expect(cloudInit.instanceId).toBe(uid)
    again(cluster, '2')
    await cluster.converge()
    expect(cluster.starts('web')).toBe(1)
    expect(message(cluster)).toMatch(/^metadata\.annotations\["swarmvirt\.dev\/cloud-init-instance"\] 2 added; to apply it: docker/)
    cluster.declare('web', { updatePolicy: 'Restart' })
    again(cluster, '2')
    await cluster.converge()
    expect(cluster.starts('web')).toBe(2)
    expect(launchOf(cluster).cloudInit.instanceId).toBe(`${uid}-2`)
    expect(await plannedEdits(cluster)).toEqual([])
  })
})

describe('editsBetween', () => {
  const { vm: machine } = aVm('web')
  const withSpec = (spec: Partial<VirtualMachine['spec']>): VirtualMachine => ({ ...machine, spec: { ...machine.spec, ...spec } })
  const sized = (memory: number): VirtualMachine => withSpec({ memory })

  test('finds nothing between equals, nor in bytes that are not known', () => {
    const running = started(sized(1e9))
    expect(editsBetween(running, wantedBy(sized(1e9)))).toEqual([])
    expect(editsBetween({ ...running, settings: { ...settings, memoryOverheadMiB: 1_000 } }, wantedBy(sized(1e9 + 1)))).toEqual([])
  })

  test('shows an edit of some bytes in bytes', () => {
    expect(editsBetween(started(sized(1e9)), wantedBy(sized(1e9 + 1)))).toMatchObject([{ from: '1000000000 B', to: '1000000001 B' }])
  })

  test('shows an edit of memory if only the MiB of the running VM are known', () => {
    const running = { ...started(sized(512 * 1024 ** 2)), settings: { ...settings, memoryOverheadMiB: 1_000 } }
    expect(editsBetween(running, wantedBy(sized(1024 ** 3)))).toMatchObject([{ from: '512 MiB', to: '1 GiB' }])
  })

  test('shows added and removed entries, each with its effect', () => {
    const more = withSpec({ networks: [...machine.spec.networks, { name: 'mgmt', bridge: 'br1', mac: aMac('52:54:00:00:00:02') }] })
    expect(editsBetween(started(machine), wantedBy(more))).toEqual([
      { path: 'spec.networks[1].name', from: undefined, to: 'mgmt', effect: 'restart' },
      { path: 'spec.networks[1].mac', from: undefined, to: '52:54:00:00:00:02', effect: 'restart' },
      { path: 'spec.networks[1].bridge', from: undefined, to: 'br1', effect: 'restart' },
    ])
  })

  test.each([
    ['another disk', ['root', 'data'], ['root', 'more'], ['spec.disks[1].name more added', 'spec.disks[2].name data removed']],
    ['one less in the middle', ['root', 'data', 'tools'], ['root', 'tools'], ['spec.disks[2].name data removed']],
    ['one more in the middle', ['root', 'tools'], ['root', 'data', 'tools'], ['spec.disks[1].name data added']],
    [
      'another order',
      ['root', 'data', 'tools'],
      ['data', 'root'],
      ['spec.disks[2].name tools removed', 'spec.disks root, data → data, root'],
    ],
  ])('shows %s of the disks that the node has, which destroys no data', (_what, from, to, shown) => {
    const running = started(machine)
    const launch = { ...running.launch, disks: from.map((name) => ({ name })) }
    const edits = editsBetween({ ...running, launch }, { ...wantedBy(machine), disks: to })
    expect(edits.map((one) => describeEdits([one]))).toEqual(shown)
    expect(edits.every(({ effect }) => effect === 'restart')).toBe(true)
  })
})
