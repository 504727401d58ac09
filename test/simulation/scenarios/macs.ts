import { objectLabels } from '../../../src/api/labels.ts'
import { force, isRunning, once } from '../people.ts'
import type { Scenario } from '../scenario.ts'
import type { World } from '../world.ts'

const [first, second] = ['52:54:00:00:00:07', '52:54:00:00:00:08'] as const
const nic = (mac: string) => ({ networks: [{ name: 'lan', bridge: 'br0', mac }] })

/** A commit that gives the MAC of one VM to another. */
function passOn(world: World): void {
  world.declare('web', nic(second))
  world.declare('db', nic(first))
}

/** The service carries what is declared by now: a restart makes it true. */
function isPassedOn({ swarm, truth }: World): boolean {
  const generation = truth.of('web')?.generation
  return truth.of('db') !== undefined && swarm.service('vm-web')?.labels[objectLabels.generation] === generation
}

function stillWaits({ views }: Pick<World, 'views'>): boolean {
  return views().some((view) => view.vm('web')?.conditions.some((one) => one.type === 'RestartRequired' && one.status === 'True'))
}

/** A node that could not take the edit at the first restart: a person who sees that the edit still waits restarts the VM once more. */
const forceAgain: Scenario['acts'][number] = [70_000, (world) => void (stillWaits({ views: () => world.views() }) && force('web')(world))]

/** Two minutes for a guest to power off, and what lies between. */
const extraMs = 180_000

/** One MAC goes from one VM to another, while the guest that has it runs on. */
export const macs: readonly Scenario[] = [
  {
    name: 'a MAC is passed on and its guest runs on',
    vms: { web: nic(first) },
    acts: [[7_000, once(isRunning('web'), passOn)]],
    blocked: { db: 'ManifestInvalid' },
    extraMs,
  },
  {
    name: 'a MAC is passed on, and its guest restarted',
    vms: { web: nic(first) },
    acts: [[7_000, once(isRunning('web'), passOn)], [12_000, once(isPassedOn, force('web'))], forceAgain],
    extraMs,
  },
  {
    name: 'a MAC is passed on while its VM is made',
    vms: { web: nic(first) },
    acts: [[1_300, passOn], [12_000, once(isPassedOn, force('web'))], forceAgain],
    extraMs,
  },
  {
    name: 'a MAC is passed on from a VM that is deleted',
    vms: { web: nic(first) },
    acts: [
      [
        7_000,
        once(isRunning('web'), (world) => {
          world.withdraw('web')
          world.declare('db', nic(first))
        }),
      ],
    ],
    extraMs,
  },
]
