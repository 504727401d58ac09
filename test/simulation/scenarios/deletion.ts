import { deletePolicy } from '../../../src/reconcilers/shared/placement-record.ts'
import { isRunning, nodeOf, once } from '../people.ts'
import type { Scenario } from '../scenario.ts'
import type { World } from '../world.ts'

const atMs = 7_000
const withDisks = { deletionPolicy: deletePolicy }

/** A removal whose disks go, or would have gone. */
export const deletion: readonly Scenario[] = [
  {
    name: 'delete with its disks',
    vms: { web: withDisks },
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
    name: 'delete with its disks, and back as they go',
    vms: { web: withDisks },
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
    expect: ({ machines }) => (machines.disks.length === 1 ? undefined : `web has ${machines.disks.length} disks`),
  },
  {
    name: 'delete with its disks while its agent is away',
    vms: { web: withDisks },
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
    name: 'the policy becomes Retain before it goes',
    vms: { web: withDisks },
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
    expect: ({ machines }) => (machines.disks.length === 1 ? undefined : `web has ${machines.disks.length} disks`),
  },
  {
    name: 'two controllers, and one VM goes with its disks',
    vms: { web: withDisks, db: {} },
    acts: [[atMs, once(isRunning('web'), (world) => world.withdraw('web'))]],
    controllers: 2,
    extraMs: 25_000,
  },
]
