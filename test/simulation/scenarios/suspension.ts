import { objectLabels, suspendedBy } from '../../../src/api/labels.ts'
import { deletePolicy } from '../../../src/reconcilers/shared/placement-record.ts'
import { placeByLabels } from '../former-release.ts'
import { isRunning, neverRestarted, once, scale } from '../people.ts'
import type { Act, Scenario } from '../scenario.ts'
import type { World } from '../world.ts'
import { serviceOf } from '../../support/branded.ts'

const atMs = 7_000

function isNoted(world: World): boolean {
  return world.record('web')?.config.labels[objectLabels.suspended] !== undefined
}

/** `docker vm suspend` and `resume`, as whichever controller is asked does it. */
function note(isSuspended: boolean): Act {
  return once(isSuspended ? isRunning('web') : isNoted, (world) => {
    const config = world.record('web')?.config
    if (config === undefined) return
    const { [objectLabels.suspended]: _before, ...labels } = config.labels
    void world.swarm.updateConfigLabels(config, isSuspended ? { ...labels, [objectLabels.suspended]: suspendedBy.command } : labels)
  })
}

/** The record says Retain. Without a report it would stay so, hence the timeout. */
function hasLastWord(world: World): boolean {
  return isNoted(world) && (world.record('web')?.deletes === false || world.elapsedMs() > 90_000)
}

/** The controller that read Retain is not there any more when the grace is over. */
function withdrawWhileSuspended(world: World): void {
  world.withdraw('web')
  world.troubleUntilMs = Math.max(world.troubleUntilMs, world.time.now() + 21_000)
  world.time.after(4_000, () => world.lives().forEach((life) => world.crash(life)))
  world.time.after(21_000, () => note(false)(world))
}

/** A suspended VM stays unchanged, whatever happens to the controllers meanwhile. */
export const suspension: readonly Scenario[] = [
  {
    name: 'suspended, and its manifest is removed',
    vms: { web: {} },
    acts: [
      [
        atMs,
        once(isRunning('web'), (world) => {
          note(true)(world)
          world.withdraw('web')
        }),
      ],
      // The grace of its removal is over long before.
      [30_000, () => undefined],
    ],
    blocked: { web: 'Suspended' },
    expect: ({ swarm }) => (swarm.service(serviceOf('web')) === undefined ? 'web was removed' : undefined),
    extraMs: 25_000,
  },
  {
    name: 'suspended, edited and stopped by hand, and resumed',
    vms: { web: {} },
    acts: [
      [atMs, note(true)],
      [atMs + 1_000, once(isNoted, (world) => world.declare('web', { memory: '1Gi', updatePolicy: 'Restart' }))],
      [atMs + 2_000, once(isNoted, scale('web', 0))],
      [atMs + 12_000, note(false)],
    ],
  },
  {
    name: 'an upgrade from placement by labels while it is suspended, and it is resumed',
    vms: { web: {} },
    acts: [
      [atMs, note(true)],
      [
        atMs + 1_000,
        once(
          (world) => isNoted(world) && isRunning('web')(world),
          (world) => {
            placeByLabels(world, 'web')
            for (const life of world.lives()) world.crash(life)
          },
        ),
      ],
      [atMs + 30_000, note(false)],
    ],
    expect: neverRestarted,
  },
  {
    name: 'suspended, its policy becomes Retain, its manifest is removed, and it is resumed',
    vms: { web: { deletionPolicy: deletePolicy }, db: {} },
    acts: [
      [atMs, note(true)],
      [atMs + 1_000, once(isNoted, (world) => world.declare('web'))],
      [atMs + 4_000, once(hasLastWord, withdrawWhileSuspended)],
    ],
    expect: ({ machines }) => (machines.disks.some((one) => one.vm === 'web') ? undefined : 'the disk of web is gone'),
    extraMs: 25_000,
  },
  {
    name: 'suspended, its policy becomes Delete, its manifest is removed, and it is resumed',
    vms: { web: {}, db: {} },
    acts: [
      [atMs, note(true)],
      [atMs + 1_000, once(isNoted, (world) => world.declare('web', { deletionPolicy: deletePolicy }))],
      [atMs + 5_000, once(isNoted, (world) => world.withdraw('web'))],
      [atMs + 30_000, note(false)],
    ],
    extraMs: 25_000,
  },
]
