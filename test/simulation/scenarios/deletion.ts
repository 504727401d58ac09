import { deletePolicy } from '../../../src/reconcilers/shared/placement-record.ts'
import { isRunning, nodeOf, once } from '../people.ts'
import type { Scenario } from '../scenario.ts'
import type { World } from '../world.ts'
import { stillThere } from './sources.ts'

const atMs = 7_000
const withDisks = { deletionPolicy: deletePolicy }

/** A removal whose disks go, or would have gone. */
export const deletion: readonly Scenario[] = [
  {
    name: 'delete with its disks',
    vms: { web: withDisks, db: {} },
    acts: [[atMs, (world) => world.withdraw('web')]],
    extraMs: 25_000,
  },
  {
    name: 'delete one of two with its disks',
    vms: { web: withDisks, db: {} },
    acts: [[atMs, once(isRunning('web'), (world) => world.withdraw('web'))]],
    extraMs: 25_000,
    expect: ({ machines }) => (machines.disks.length === 1 ? undefined : `${machines.disks.length} disks are there`),
  },
  {
    name: 'delete with its disks, and the manifest returns during the deletion',
    vms: { web: withDisks, db: {} },
    acts: [
      [
        atMs,
        once(isRunning('web'), (world: World) => {
          world.withdraw('web')
          const back = world.random.int(9_000, 14_000)
          world.troubleUntilMs = Math.max(world.troubleUntilMs, world.time.now() + back)
          world.time.after(back, () => world.declare('web', withDisks))
        }),
      ],
    ],
    extraMs: 25_000,
    expect: ({ machines }) => (machines.disks.length === 2 ? undefined : `there are ${machines.disks.length} disks`),
  },
  {
    name: 'delete with its disks while its broker is away',
    vms: { web: withDisks, db: {} },
    acts: [
      [
        atMs,
        once(isRunning('web'), (world: World) => {
          const machine = world.machines.machine(nodeOf(world, 'web'))
          world.withdraw('web')
          world.troubleUntilMs = Math.max(world.troubleUntilMs, world.time.now() + 40_000)
          world.time.after(9_000, () => void (machine.brokerAway = true))
          world.time.after(40_000, () => void (machine.brokerAway = false))
        }),
      ],
    ],
    extraMs: 25_000,
  },
  {
    name: 'delete with its disks while its agent is away',
    vms: { web: withDisks, db: {} },
    acts: [
      [
        atMs,
        once(isRunning('web'), (world: World) => {
          const machine = world.machines.machine(nodeOf(world, 'web'))
          machine.away = true
          world.withdraw('web')
          world.troubleUntilMs = Math.max(world.troubleUntilMs, world.time.now() + 30_000)
          world.time.after(30_000, () => void (machine.away = false))
        }),
      ],
    ],
    extraMs: 25_000,
  },
  {
    name: 'the policy becomes Retain before the manifest is removed',
    vms: { web: withDisks, db: {} },
    acts: [
      [
        atMs,
        once(isRunning('web'), (world: World) => {
          world.declare('web')
          once(
            (later) => later.record('web')?.deletes === false,
            (later) => later.withdraw('web'),
          )(world)
        }),
      ],
    ],
    extraMs: 25_000,
    expect: ({ machines }) => (machines.disks.length === 2 ? undefined : `there are ${machines.disks.length} disks`),
  },
  {
    name: 'two controllers, and one VM is removed with its disks',
    vms: { web: withDisks, db: {} },
    acts: [[atMs, once(isRunning('web'), (world) => world.withdraw('web'))]],
    controllers: 2,
    extraMs: 25_000,
  },
  {
    name: 'the mount of the only VM is empty',
    vms: { web: withDisks },
    acts: [[atMs, once(isRunning('web'), (world) => world.withdraw('web'))]],
    blocked: { web: 'RemovalWithheld' },
    expect: stillThere('web'),
    extraMs: 25_000,
  },
  {
    name: 'three VMs are removed one after another within the grace period, two of them with their disks',
    vms: { web: withDisks, shop: withDisks, db: {}, last: {} },
    acts: [
      [
        atMs,
        once(
          (world) => ['web', 'shop', 'db', 'last'].every((name) => isRunning(name)(world)),
          (world: World) => {
            world.troubleUntilMs = Math.max(world.troubleUntilMs, world.time.now() + 15_000)
            world.withdraw('web')
            world.time.after(5_000, () => world.withdraw('db'))
            world.time.after(14_000, () => world.withdraw('shop'))
          },
        ),
      ],
    ],
    blocked: { web: 'RemovalWithheld', shop: 'RemovalWithheld' },
    expect: stillThere('web', 'shop'),
    extraMs: 25_000,
  },
  {
    name: 'two VMs are removed at once with their disks, and a person confirms it',
    vms: { web: withDisks, shop: withDisks, db: {} },
    acts: [
      [
        atMs,
        once(
          (world) => isRunning('web')(world) && isRunning('shop')(world),
          (world: World) => {
            for (const name of ['web', 'shop']) world.withdraw(name)
            confirmAll(world)
          },
        ),
      ],
    ],
    extraMs: 60_000,
    expect: ({ machines }) => (machines.disks.length === 1 ? undefined : `${machines.disks.length} disks are there`),
  },
  {
    name: 'two controllers, two VMs are removed at once with their disks, and one controller hears the confirmation',
    vms: { web: withDisks, shop: withDisks, db: {} },
    acts: [
      [
        atMs,
        once(
          (world) => isRunning('web')(world) && isRunning('shop')(world),
          (world: World) => {
            for (const name of ['web', 'shop']) world.withdraw(name)
            confirmAll(world, 'one')
          },
        ),
      ],
    ],
    controllers: 2,
    extraMs: 60_000,
    expect({ machines, boundary }) {
      const writes = boundary.writeCalls.length
      // A dispute goes on for the grace period, with a hundred writes a second. A source that one of them cannot read for 10 s causes some 300.
      if (writes > 1_000) return `the controllers wrote ${writes} times`
      return machines.disks.length === 1 ? undefined : `${machines.disks.length} disks are there`
    },
  },
  {
    name: 'two VMs are removed at once with their disks, and one manifest returns',
    vms: { web: withDisks, shop: withDisks, db: {} },
    acts: [
      [
        atMs,
        once(
          (world) => isRunning('web')(world) && isRunning('shop')(world),
          (world: World) => {
            for (const name of ['web', 'shop']) world.withdraw(name)
            once(
              (later) => later.record('shop')?.mustConfirm === true,
              (later) => later.declare('web', withDisks),
            )(world)
          },
        ),
      ],
    ],
    blocked: { shop: 'RemovalWithheld' },
    extraMs: 25_000,
    expect: stillThere('web', 'shop'),
  },
]

/**
 * Confirms again after a restart of the controller, which forgets it, until nothing is left. A controller that did not hear it shows the
 * removal until it hears it too.
 */
function confirmAll(world: World, heardBy: 'everybody' | 'one' = 'everybody'): void {
  const both = ['shop', 'web']
  const isLeft = both.some((name) => world.record(name) !== undefined)
  const views = world
    .views()
    .filter((view, index) => (isLeft ? heardBy === 'everybody' || index === 0 : both.some((name) => view.vm(name))))
  const names = both.filter((name) => views.some((view) => view.vm(name) !== undefined))
  if (names.length > 0 && names.every((name) => world.isWithheld(name, views))) world.confirmRemoval(names, isLeft ? heardBy : 'everybody')
  if (names.length === 0 && !isLeft) return
  world.troubleUntilMs = Math.max(world.troubleUntilMs, world.time.now() + 2_000)
  world.time.after(2_000, () => confirmAll(world, heardBy))
}
