import type { Act, Scenario } from '../scenario.ts'
import type { World } from '../world.ts'
import { isRunning, once } from '../people.ts'

export function stillThere(...names: string[]): (world: World) => string | undefined {
  return ({ swarm }) =>
    names.map((one) => (swarm.service(`vm-${one}`) === undefined ? `${one} was removed` : undefined)).find((one) => one !== undefined)
}

function deletedAtOnce(name: string, deleted: readonly string[], kept: readonly string[]): Scenario {
  const all = [...deleted, ...kept]
  const withdraw = (world: World): void => {
    world.truth.isMass = true
    for (const one of deleted) world.withdraw(one)
  }
  return {
    name,
    vms: Object.fromEntries(all.map((one) => [one, {}])),
    acts: [[12_000, once((world) => all.every((one) => isRunning(one)(world)), withdraw)]],
    blocked: Object.fromEntries(deleted.map((one) => [one, 'RemovalWithheld'])),
    expect: stillThere(...all),
  }
}

/** Hints of the edits have single files read, which says nothing of what is absent. */
function backUnheard(world: World): void {
  world.withdraw('web')
  world.troubleUntilMs = Math.max(world.troubleUntilMs, world.time.now() + 13_000)
  world.time.after(9_000, () => {
    world.directory.tree.hints = () => false
    world.declare('web')
    world.directory.tree.hints = () => true
  })
  // So far apart that each edit has settled when it is read, and so close that no whole read comes between.
  for (let ms = 9_200; ms < 13_000; ms += 450) world.time.after(ms, () => world.declare('db', { readiness: { tcp: ms } }))
}

/** Every open of the next read finds another version: three are edits, and the last one also removes a VM. */
function swapDuringRead(world: World): void {
  const { tree } = world.directory
  let swaps = 0
  tree.beforeOpen = () => {
    swaps += 1
    world.troubleUntilMs = Math.max(world.troubleUntilMs, world.time.now())
    if (swaps > 3) tree.beforeOpen = () => {}
    else world.declare('web', { readiness: { tcp: 1_000 + swaps } })
    if (swaps === 3) world.withdraw('db')
  }
  world.troubleUntilMs = Math.max(world.troubleUntilMs, world.time.now() + 12_000)
  tree.hint('anything')
}

/** The mount is lost for a while; no VM may be removed because of it. */
function emptiedMount(forMs: number): Act {
  return (world) => {
    world.truth.isMass = true
    world.directory.unmount()
    world.troubleUntilMs = Math.max(world.troubleUntilMs, world.time.now() + forMs)
    world.time.after(1_000, () => world.declare('web', { memory: '1Gi' }))
    world.time.after(forMs, () => world.directory.mount())
  }
}

function onFileServer(world: World): void {
  world.directory.tree.isLocal = false
}

export const sources: readonly Scenario[] = [
  {
    name: 'a manifest flaps',
    vms: { web: {} },
    acts: [7_000, 9_000, 11_000, 13_000, 15_000, 17_000].map(
      (atMs, index) => [atMs, (world: World) => (index % 2 === 0 ? world.withdraw('web') : world.declare('web'))] as const,
    ),
  },
  {
    name: 'a manifest flaps between two states',
    vms: { web: {} },
    acts: [7_000, 7_100, 7_200, 7_500, 8_000, 9_000].map(
      (atMs, index) => [atMs, (world: World) => world.declare('web', index % 2 === 0 ? { memory: '1Gi' } : {})] as const,
    ),
  },
  {
    name: 'invalid, then fixed',
    vms: { web: {}, db: {} },
    acts: [
      [7_000, (world) => world.spoil('web')],
      [25_000, (world) => world.declare('web', { memory: '1Gi' })],
    ],
  },
  {
    name: 'invalid for good',
    vms: { web: {} },
    acts: [[7_000, once(isRunning('web'), (world) => world.spoil('web'))]],
    blocked: { web: 'ManifestInvalid' },
    expect: stillThere('web'),
  },
  { name: 'invalid from the start', vms: { db: {} }, acts: [[0, (world) => world.spoil('web')]] },
  {
    name: 'invalid from the start, then fixed',
    vms: { db: {} },
    acts: [
      [0, (world) => world.spoil('web')],
      [8_000, (world) => world.declare('web')],
    ],
  },
  {
    name: 'an unreadable file appears',
    vms: { web: {}, db: {} },
    acts: [
      [
        7_000,
        (world) => {
          world.source().put('zz.yaml', { text: '{\n', name: undefined })
        },
      ],
    ],
  },
  {
    name: 'the source cannot be read for a while',
    vms: { web: {}, db: {} },
    acts: [
      [7_000, (world) => world.setUnreadable(world.source(), 'ENOENT: no such directory')],
      [30_000, (world) => world.setUnreadable(world.source(), '')],
    ],
  },
  {
    name: 'the source cannot be read at the start',
    vms: { web: {}, db: {} },
    acts: [
      [0, (world) => world.setUnreadable(world.source(), 'ENOENT: no such directory')],
      [20_000, (world) => world.setUnreadable(world.source(), '')],
    ],
  },
  {
    name: 'a manifest is deleted while the source cannot be read',
    vms: { web: {}, db: {} },
    acts: [
      [7_000, (world) => world.setUnreadable(world.source(), 'EIO: i/o error')],
      [9_000, (world) => world.withdraw('web')],
      [24_000, (world) => world.setUnreadable(world.source(), '')],
    ],
    extraMs: 25_000,
  },
  deletedAtOnce('five of six are deleted at once', ['a', 'b', 'c', 'd', 'e'], ['f']),
  deletedAtOnce('both of a source are deleted at once', ['web', 'db'], []),
  { name: 'two sources', sources: ['configs', 'directory'], vms: { web: {} }, acts: [[0, (world) => world.declare('db', {}, 1)]] },
  {
    name: 'one VM in two sources',
    sources: ['configs', 'directory'],
    vms: { web: {} },
    acts: [
      [
        7_000,
        once(isRunning('web'), (world) => {
          // The first holder keeps it; the other one is shown and does nothing.
          const held = world.source().files.get('web.yaml')
          if (held !== undefined) world.source(1).put('twin.yaml', held)
        }),
      ],
    ],
  },
  {
    name: 'a VM moves to another source',
    sources: ['configs', 'directory'],
    vms: { web: {} },
    acts: [
      [
        7_000,
        (world) => {
          world.declare('web', {}, 1)
          world.withdraw('web', 0)
        },
      ],
    ],
  },
  {
    name: 'one of two sources cannot be read',
    sources: ['configs', 'directory'],
    vms: { web: {} },
    acts: [
      [0, (world) => world.declare('db', {}, 1)],
      [8_000, (world) => world.setUnreadable(world.source(1), 'EIO: i/o error')],
      [9_000, (world) => world.withdraw('web')],
      [30_000, (world) => world.setUnreadable(world.source(1), '')],
    ],
    extraMs: 25_000,
  },
  {
    name: 'a manifest returns without an event at the end of its grace period, while another one is edited repeatedly',
    vms: { web: {}, db: {} },
    acts: [[7_000, once(isRunning('web'), backUnheard)]],
    extraMs: 25_000,
  },
  {
    name: 'git-sync swaps its link while the directory is read',
    prepare(world) {
      onFileServer(world)
      world.directory.sync()
    },
    vms: { web: {}, db: {} },
    acts: [[7_000, once(isRunning('web'), swapDuringRead)]],
    extraMs: 25_000,
  },
  {
    name: 'the mount of the manifests is empty for a while, and a VM is edited meanwhile',
    vms: { web: {}, db: {} },
    acts: [[7_000, once((world) => isRunning('web')(world) && isRunning('db')(world), emptiedMount(20_000))]],
    expect: stillThere('web', 'db'),
  },
  {
    name: 'a manifest is written in two steps',
    prepare: onFileServer,
    vms: { web: { runStrategy: 'Halted' } },
    acts: [
      [7_000, (world) => world.declareInTwoSteps('web', { readiness: { tcp: 22 }, runStrategy: 'Halted' }, 4_000)],
      [20_000, (world) => world.declareInTwoSteps('web', { readiness: { tcp: 23 }, runStrategy: 'Halted' }, 100)],
    ],
  },
  {
    name: 'a manifest is deleted while another one cannot be read',
    vms: { web: {}, db: {}, mail: {} },
    acts: [
      [7_000, (world) => world.setUnreadable(world.source(), 'EIO: i/o error')],
      [8_000, (world) => world.withdraw('db')],
      [30_000, (world) => world.setUnreadable(world.source(), '')],
    ],
    extraMs: 25_000,
  },
  {
    name: 'a directory in the source may not be listed for a while',
    vms: { web: {}, mail: {} },
    acts: [
      [0, (world) => world.declare('db', {}, 0, 'team/db.yaml')],
      [7_000, (world) => world.setUnreadable(world.source(), 'EACCES: permission denied')],
      [30_000, (world) => world.setUnreadable(world.source(), '')],
    ],
  },
  { name: 'two controllers', vms: { web: {} }, acts: [], controllers: 2 },
  {
    name: 'two controllers and an edit',
    vms: { web: {} },
    acts: [[7_000, (world) => world.declare('web', { memory: '1Gi' })]],
    controllers: 2,
  },
  {
    name: 'two controllers and a delete',
    vms: { web: {}, db: {} },
    acts: [[8_000, (world) => world.withdraw('web')]],
    controllers: 2,
    extraMs: 25_000,
  },
]
