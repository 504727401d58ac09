import { force, isRunning, nodeOf, once, scale } from '../people.ts'
import type { Scenario } from '../scenario.ts'
import type { SpecChanges } from '../cluster.ts'
import { powerOff, powerOn } from '../window-faults.ts'
import type { World } from '../world.ts'

const editAtMs = 7_000

/** The disks that the node has created, in boot order, as its controller noted them. */
function hasDisks(vm: string, ...names: readonly string[]) {
  return (world: World): boolean => world.record(vm)?.disks?.join() === names.join()
}

/** The VM runs on, and says that it waits for a restart. */
function waitsForRestart({ views }: Pick<World, 'views'>): string | undefined {
  const says = views().every((view) => view.vm('web')?.conditions.some((one) => one.type === 'RestartRequired' && one.status === 'True'))
  return says ? undefined : 'RestartRequired of web is not True'
}

/** It was started with the current manifest. */
function nothingWaits(world: Pick<World, 'views'>): string | undefined {
  const says = world
    .views()
    .every((view) => view.vm('web')?.conditions.some((one) => one.type === 'RestartRequired' && one.status === 'False'))
  return says ? undefined : 'RestartRequired of web is not False'
}

function all(...checks: readonly NonNullable<Scenario['expect']>[]): NonNullable<Scenario['expect']> {
  return (world) => checks.map((check) => check(world)).find((found) => found !== undefined)
}

function edited(field: string, before: SpecChanges, after: SpecChanges, isPending = true, reason?: string): Scenario {
  return {
    name: `edit ${field}`,
    vms: { web: before },
    acts: [[editAtMs, once(isRunning('web'), (world) => world.declare('web', after))]],
    ...(reason === undefined ? {} : { blocked: { web: reason } }),
    ...(isPending ? { expect: (world) => waitsForRestart({ views: () => world.views() }) } : {}),
  }
}

const networks = (...names: readonly string[]) => ({ updatePolicy: 'Restart', networks: names.map((name) => ({ name, bridge: 'br0' })) })

/** Edits that no simulated node can run. */
const unfit: Readonly<Record<'memory' | 'bridge' | 'accelerator', SpecChanges>> = {
  memory: { memory: '64Gi' },
  bridge: { networks: [{ name: 'lan', bridge: 'br7' }] },
  accelerator: { accelerator: 'kvm' },
}

const key = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGqM6Q0i7Kt5i0v8v0R3k7v7m0bq0o6v8Qw0t6wWm3xk me'
const disk = { name: 'root', size: '2Gi', image: { source: 'images/tiny.qcow2' } }
const blank = { name: 'data', size: '4Gi' }
const other = { ...disk, image: { source: 'images/other.qcow2' } }

const larger: SpecChanges = { updatePolicy: 'Restart', disks: [{ ...disk, size: '4Gi' }] }

/** The size that the guest of web sees. */
function rootHas(sizeBytes: number): NonNullable<Scenario['expect']> {
  return (world) => {
    const record = world.record('web')
    const machine = world.machines.machine(nodeOf(world, 'web'))
    const found = record && machine.disk.at(machine.layout.diskFile(record.uid, 'root'))?.image?.virtualSizeBytes
    return found === sizeBytes ? undefined : `root of web has ${found} bytes`
  }
}

/** Each field of a manifest, edited while the VM runs. */
export const edits: readonly Scenario[] = [
  edited('cores', {}, { cpu: { cores: 2 } }),
  edited('sockets', {}, { cpu: { sockets: 2 } }),
  edited('threads', {}, { cpu: { threads: 2 } }),
  edited('CPU model', {}, { cpu: { model: 'max' } }),
  edited('memory', {}, { memory: '1Gi' }),
  edited('memory overhead', {}, { resources: { memoryOverhead: '300Mi' } }),
  edited('firmware', {}, { firmware: { mode: 'uefi', tpm: true } }),
  edited('CPU limit', {}, { resources: { cpuLimit: 1.5 } }),
  edited('accelerator', {}, { accelerator: 'tcg' }),
  edited('mac', {}, { networks: [{ name: 'lan', bridge: 'br0', mac: '52:54:00:00:00:07' }] }),
  edited('mtu', {}, { networks: [{ name: 'lan', bridge: 'br0', mtu: 1_400 }] }),
  edited('isolated', {}, { networks: [{ name: 'lan', bridge: 'br0', isolated: true, antiSpoof: 'off' }] }),
  edited('ipv4', {}, { networks: [{ name: 'lan', bridge: 'br0', ipv4: { address: '192.168.50.100/24' } }] }),
  edited('network to NAT', {}, { networks: [{ name: 'lan', user: { ssh: 'auto' } }] }),
  edited('network from NAT', { networks: [{ name: 'lan', user: {} }] }, {}),
  edited('published port', { networks: [{ name: 'lan', user: {} }] }, { networks: [{ name: 'lan', user: { ssh: 2_222 } }] }),
  edited('user data', {}, { cloudInit: { userData: '#cloud-config\n' } }),
  edited('other user data', { cloudInit: { userData: '#cloud-config\n' } }, { cloudInit: { userData: '#cloud-config\npackages: []\n' } }),
  edited('network data', {}, { cloudInit: { networkData: 'version: 2\n' } }),
  edited('ssh keys', {}, { cloudInit: { sshAuthorizedKeys: [key] } }),
  { ...edited('disk size', {}, { disks: [{ ...disk, size: '4Gi' }] }, false), expect: all(nothingWaits, rootHas(4 * 1024 ** 3)) },
  {
    ...edited('disk size, and the guest crashes', {}, {}),
    acts: [
      [editAtMs, once(isRunning('web'), (world) => world.declare('web', { disks: [{ ...disk, size: '4Gi' }] }))],
      [editAtMs + 500, ({ machines }) => machines.crash('web')],
    ],
    expect: rootHas(4 * 1024 ** 3),
  },
  { ...edited('state of a network', {}, { networks: [{ name: 'lan', bridge: 'br0', state: 'down' }] }, false), expect: nothingWaits },
  { ...edited('limits of a disk', {}, { disks: [{ ...disk, limits: { iops: 100 } }] }, false), expect: nothingWaits },
  { ...edited('memoryTarget', {}, { memoryTarget: '64Mi' }, false), expect: nothingWaits },
  edited('console', {}, { console: { vnc: true } }),
  edited('watchdog', {}, { watchdog: {} }),
  edited('disks, to which a CD-ROM drive is added', {}, { disks: [disk, { name: 'tools', cdrom: {} }] }),
  {
    ...edited('disk size, with updatePolicy: Restart', { updatePolicy: 'Restart' }, larger, false),
    expect: rootHas(4 * 1024 ** 3),
  },
  edited('disk size to a smaller one', {}, { disks: [{ ...disk, size: '1Gi' }] }, false, 'DiskResizeUnsupported'),
  edited('image', {}, { disks: [{ ...disk, image: { source: 'images/other.qcow2' } }] }, false, 'ImageChangeRefused'),
  edited('disks, to which one is added', {}, { disks: [disk, blank] }),
  edited('disks, to which one from an image is added', {}, { disks: [disk, { ...other, name: 'more' }] }),
  edited('bus of a disk', {}, { disks: [{ ...disk, bus: 'scsi' }] }),
  edited('readOnly of a disk', { disks: [disk, blank] }, { disks: [disk, { ...blank, readOnly: true }] }),
  edited('the name of a disk', { disks: [disk, blank] }, { disks: [disk, { ...blank, name: 'store' }] }, false, 'DiskRenameRefused'),
  edited('disks, with updatePolicy: Restart', { updatePolicy: 'Restart' }, { updatePolicy: 'Restart', disks: [disk, blank] }, false),
  {
    ...edited('disks, and the guest crashes', {}, {}),
    acts: [
      [editAtMs, once(isRunning('web'), (world) => world.declare('web', { disks: [disk, blank] }))],
      [editAtMs + 4_000, ({ machines }) => machines.crash('web')],
    ],
  },
  {
    name: 'a disk is removed, another one is added, and the first one returns',
    vms: { web: { updatePolicy: 'Restart', disks: [disk, blank] } },
    acts: [
      [
        editAtMs,
        once(isRunning('web'), (world: World) => {
          // A controller that missed an edit would take the next one for a rename.
          const [removed, added, returned] = [[disk], [disk, { ...blank, name: 'store' }], [disk, blank]]
          const declare = (later: World, disks: unknown): void => later.declare('web', { updatePolicy: 'Restart', disks })
          declare(world, removed)
          once(hasDisks('web', 'root'), (later) => {
            declare(later, added)
            once(hasDisks('web', 'root', 'store'), (last) => declare(last, returned))(later)
          })(world)
        }),
      ],
    ],
  },
  edited('disks, of which one is removed', { disks: [disk, blank] }, { disks: [disk] }),
  edited('order of disks', { disks: [disk, blank] }, { disks: [blank, disk] }),
  {
    name: 'edit order of disks, with updatePolicy: Restart',
    vms: { web: { updatePolicy: 'Restart', disks: [disk, blank] } },
    acts: [[editAtMs, (world) => world.declare('web', { updatePolicy: 'Restart', disks: [blank, disk] })]],
  },
  edited('readiness', {}, { readiness: { tcp: 22 } }, false),
  edited('readiness, with updatePolicy: Restart', { updatePolicy: 'Restart' }, { updatePolicy: 'Restart', readiness: { tcp: 22 } }, false),
  edited('readiness to http', { readiness: { tcp: 22 } }, { readiness: { http: { port: 80, path: '/' } } }, false),
  edited('terminationGracePeriod', {}, { terminationGracePeriod: '30s' }, true),
  edited('readiness to ssh', { readiness: { tcp: 22 } }, { readiness: { ssh: 22 } }, false),
  edited('readiness to ping', { readiness: { tcp: 22 } }, { readiness: { ping: true } }, false),
  edited('networks, of which there are two', { networks: networks('lan', 'dmz').networks }, { networks: networks('dmz', 'lan').networks }),
  {
    name: 'the first of three networks is removed, and returns beside another one',
    vms: { web: networks('lan', 'dmz', 'mgmt') },
    acts: [
      [
        editAtMs,
        once(isRunning('web'), (world: World) => {
          world.declare('web', networks('dmz', 'mgmt'))
          world.troubleUntilMs = Math.max(world.troubleUntilMs, world.time.now() + 12_000)
          world.time.after(12_000, () => world.declare('web', networks('wan', 'mgmt', 'lan', 'dmz')))
        }),
      ],
    ],
  },
  {
    name: 'edits while it boots',
    vms: { web: {} },
    acts: Array.from(
      { length: 20 },
      (_one, index) => [2_000 + index * 237, (world: World) => world.declare('web', { readiness: { tcp: 1_000 + index } })] as const,
    ),
  },
  {
    name: 'edit and back',
    vms: { web: {} },
    acts: [
      [editAtMs, (world) => world.declare('web', { memory: '1Gi' })],
      [editAtMs + 4_000, (world) => world.declare('web')],
    ],
  },
  { name: 'halt', vms: { web: {} }, acts: [[editAtMs, (world) => world.declare('web', { runStrategy: 'Halted' })]] },
  { name: 'start', vms: { web: { runStrategy: 'Halted' } }, acts: [[editAtMs, (world) => world.declare('web')]] },
  {
    name: 'edit while halted, then start',
    vms: { web: {} },
    acts: [
      [editAtMs, (world) => world.declare('web', { runStrategy: 'Halted' })],
      [editAtMs + 8_000, (world) => world.declare('web', { runStrategy: 'Halted', memory: '1Gi' })],
      [editAtMs + 12_000, (world) => world.declare('web', { memory: '1Gi' })],
    ],
  },
  {
    name: 'edit, and a person restarts the VM',
    vms: { web: {} },
    acts: [
      [editAtMs, once(isRunning('web'), (world) => world.declare('web', { memory: '1Gi' }))],
      [
        editAtMs + 5_000,
        (world) => {
          // The forced update is one restart, and the edit that it applies is the other.
          force('web')(world)
        },
      ],
    ],
  },
  {
    ...edited('mac, and the guest crashes', {}, { networks: [{ name: 'lan', bridge: 'br0', mac: '52:54:00:00:00:07' }] }),
    acts: [
      [
        editAtMs,
        once(isRunning('web'), (world) => world.declare('web', { networks: [{ name: 'lan', bridge: 'br0', mac: '52:54:00:00:00:07' }] })),
      ],
      [editAtMs + 4_000, ({ machines }) => machines.crash('web')],
    ],
  },
  {
    ...edited('the name of a network, and the power goes', {}, {}),
    acts: [
      [editAtMs, once(isRunning('web'), (world) => world.declare('web', { networks: [{ name: 'dmz', bridge: 'br0' }] }))],
      [
        editAtMs + 4_000,
        once(isRunning('web'), (world) => {
          const nodeId = nodeOf(world, 'web')
          powerOff(world, nodeId)
          world.troubleUntilMs = Math.max(world.troubleUntilMs, world.time.now() + 6_000)
          world.time.after(6_000, () => powerOn(world, nodeId))
        }),
      ],
    ],
  },
  ...(['memory', 'bridge', 'accelerator'] as const).map((field) => ({
    ...edited(`${field} beyond the node, and a person restarts the VM and scales it to 0`, {}, {}),
    acts: [
      [editAtMs, once(isRunning('web'), (world: World) => world.declare('web', unfit[field]))],
      [editAtMs + 4_000, force('web')],
      [editAtMs + 9_000, scale('web', 0)],
    ] as const,
  })),
  edited('memory, with updatePolicy: Restart', { updatePolicy: 'Restart' }, { updatePolicy: 'Restart', memory: '1Gi' }, false),
  {
    name: 'an edit waits, and the policy becomes Restart',
    vms: { web: {} },
    acts: [
      [editAtMs, once(isRunning('web'), (world) => world.declare('web', { memory: '1Gi' }))],
      [editAtMs + 5_000, once(isRunning('web'), (world) => world.declare('web', { memory: '1Gi', updatePolicy: 'Restart' }))],
    ],
  },
  {
    name: 'edit mac and start in one edit',
    vms: { web: { runStrategy: 'Halted' } },
    acts: [[editAtMs, (world) => world.declare('web', { networks: [{ name: 'lan', bridge: 'br0', mac: '52:54:00:00:00:07' }] })]],
    expect: (world) => nothingWaits({ views: () => world.views() }),
  },
]

/** Beginnings and ends. */
export const lives: readonly Scenario[] = [
  { name: 'create', vms: { web: {} }, acts: [] },
  { name: 'create with user data', vms: { web: { cloudInit: { userData: '#cloud-config\n' } } }, acts: [] },
  { name: 'create with two disks', vms: { web: { disks: [disk, blank] } }, acts: [] },
  {
    name: 'create with three disks, and its guest crashes',
    vms: { web: { disks: [disk, blank, { ...disk, name: 'more', image: { source: 'images/other.qcow2' } }] } },
    acts: [[editAtMs, ({ machines }) => machines.crash('web')]],
  },
  { name: 'create three', vms: { web: {}, db: {}, mail: {} }, acts: [] },
  { name: 'create one more', vms: { web: {} }, acts: [[editAtMs, (world) => world.declare('db')]] },
  { name: 'delete', vms: { web: {} }, acts: [[editAtMs, (world) => world.withdraw('web')]], extraMs: 25_000 },
  {
    name: 'delete with user data',
    vms: { web: { cloudInit: { userData: '#cloud-config\n' } } },
    acts: [[editAtMs, (world) => world.withdraw('web')]],
    extraMs: 25_000,
  },
  { name: 'delete one of two', vms: { web: {}, db: {} }, acts: [[editAtMs, (world) => world.withdraw('db')]], extraMs: 25_000 },
  { name: 'create two, one named like the beginning of the other', vms: { web: {}, 'web-2': {} }, acts: [] },
  {
    name: 'delete the one that is named like the beginning of another',
    vms: { web: {}, 'web-2': {} },
    acts: [[editAtMs, (world) => world.withdraw('web')]],
    extraMs: 25_000,
  },
  { name: 'delete while it is made', vms: { web: {} }, acts: [[1_200, (world) => world.withdraw('web')]], extraMs: 25_000 },
  {
    name: 'delete and back within the grace',
    vms: { web: {} },
    acts: [
      [editAtMs, (world) => world.withdraw('web')],
      [editAtMs + 6_000, (world) => world.declare('web')],
    ],
  },
  {
    name: 'delete, another edit, and back within the grace',
    vms: { web: {}, db: {} },
    acts: [
      [editAtMs, (world) => world.withdraw('web')],
      [editAtMs + 4_000, (world) => world.declare('db', { memory: '1Gi' })],
      [editAtMs + 8_000, (world) => world.declare('web')],
    ],
  },
  {
    name: 'delete, and back during the removal',
    vms: { web: {} },
    acts: [
      [editAtMs, (world) => world.withdraw('web')],
      [editAtMs + 10_300, (world) => world.declare('web')],
    ],
  },
  {
    name: 'a retained disk returns',
    vms: { web: {} },
    acts: [
      [editAtMs, (world) => world.withdraw('web')],
      [editAtMs + 25_000, (world) => world.declare('web', { memory: '1Gi' })],
    ],
    expect: ({ machines }) => (machines.disks.length === 1 ? undefined : 'web has got another disk'),
  },
  {
    name: 'rename',
    vms: { web: {} },
    acts: [
      [
        editAtMs,
        (world) => {
          world.withdraw('web')
          world.declare('shop')
        },
      ],
    ],
    extraMs: 25_000,
  },
  {
    name: 'rename the file',
    vms: { web: {} },
    acts: [
      [
        editAtMs,
        (world) => {
          world.declare('web', {}, 0, 'other.yaml')
          world.withdraw('web')
        },
      ],
    ],
  },
  { name: 'a guest crashes', vms: { web: {} }, acts: [[editAtMs, ({ machines }) => machines.crash('web')]] },
  {
    name: 'a guest crashes again and again',
    vms: { web: {} },
    acts: [7_000, 9_000, 14_000, 16_000].map((atMs) => [atMs, ({ machines }: World) => machines.crash('web')] as const),
  },
]
