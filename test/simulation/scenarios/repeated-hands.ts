import { objectLabels } from '../../../src/api/labels.ts'
import { dig } from '../../../src/reconcilers/shared/raw.ts'
import { changeTemplate, foreignConfig, forged, isRunning, labelService, nodeOf, once, rollback, whenWritten } from '../people.ts'
import type { Act, Scenario } from '../scenario.ts'
import { powerOff, powerOn } from '../window-faults.ts'
import type { World } from '../world.ts'
import { serviceOf } from '../../support/branded.ts'

const atMs = 7_000
const restarts = { updatePolicy: 'Restart' }
const another = { networks: [{ name: 'lan', bridge: 'br0', mac: '52:54:00:00:00:07' }] }

function labelOf({ swarm }: World, key: string): string | undefined {
  return swarm.service(serviceOf('web'))?.labels[key]
}

function hasNoEnv({ swarm }: World): string | undefined {
  const env = dig(swarm.service(serviceOf('web'))?.spec, 'TaskTemplate', 'ContainerSpec', 'Env')
  return env === undefined ? undefined : 'the changed template was not restored'
}

function isAsBefore(world: World): boolean {
  return hasNoEnv(world) === undefined && isRunning('web')(world)
}

/** The controller has just put the template back, and the spec before that is the changed one. */
function isPutBack(world: World): boolean {
  const before = world.swarm.service(serviceOf('web'))?.previousSpec
  return dig(before, 'TaskTemplate', 'ContainerSpec', 'Env') !== undefined && hasNoEnv(world) === undefined
}

function isSeen(world: World): boolean {
  return labelOf(world, objectLabels.generation) === world.truth.of('web')?.generation
}

/** The edit runs. */
function isApplied(world: World): boolean {
  return isSeen(world) && labelOf(world, objectLabels.appliedHash) === labelOf(world, objectLabels.desiredHash)
}

function later(world: World, ms: number, act: Act): void {
  world.troubleUntilMs = Math.max(world.troubleUntilMs, world.time.now() + ms)
  world.time.after(ms, () => act(world))
}

/** Its small files are as they were before the edit. */
function editedAndRestored(world: World): void {
  const nodeId = nodeOf(world, 'web')
  const restore = world.machines.machine(nodeId).backup()
  world.declare('web', { ...restarts, ...another })
  once(isApplied, (edited) => {
    powerOff(edited, nodeId)
    restore()
    later(edited, 10_000, () => powerOn(edited, nodeId))
  })(world)
}

/** `docker service update --force`, which nothing waits for and no label of ours notes any more. */
function forcedAndForgotten(world: World): void {
  const bump = (spec: Record<string, unknown>): void => void Object.assign(spec['TaskTemplate'] as object, { ForceUpdate: 3 })
  world.editService('web', bump, false)
  const edit: Act = (noted) => {
    noted.declare('web', { memory: '1Gi' })
    once(
      isSeen,
      labelService('web', (labels) => delete labels[objectLabels.forceUpdate]),
    )(noted)
  }
  once((then) => labelOf(then, objectLabels.forceUpdate) === '3', edit)(world)
}

function inTasks(most: number): NonNullable<Scenario['expect']> {
  return ({ machines }) => {
    const tasks = new Set(machines.guests.filter((one) => one.vm === 'web').map((one) => one.taskId))
    return machines.wasInterrupted || tasks.size <= most ? undefined : `web ran in ${tasks.size} tasks`
  }
}

const anotherUid = '00000000-0000-4000-8000-00000000000f'
const ofAnother = { ...forged, [objectLabels.component]: 'launch', [objectLabels.vm]: 'web', [objectLabels.uid]: anotherUid }

/** Changes that people repeat, undo, and restore. */
export const repeatedHands: readonly Scenario[] = [
  {
    name: 'the template is changed three times in the same way',
    vms: { web: {} },
    acts: [
      [atMs, changeTemplate('web')],
      [atMs + 5_000, once(isAsBefore, changeTemplate('web'))],
      [atMs + 10_000, once(isAsBefore, changeTemplate('web'))],
    ],
    expect: hasNoEnv,
  },
  {
    name: 'the template is changed, restored, and rolled back to the change',
    vms: { web: {} },
    acts: [
      [
        atMs,
        once(isRunning('web'), (world) => {
          whenWritten(
            world,
            () => isPutBack(world),
            () => rollback('web')(world),
          )
          changeTemplate('web')(world)
        }),
      ],
    ],
    expect: hasNoEnv,
  },
  {
    name: 'an edit restarts the VM, and a person rolls it back twice',
    vms: { web: restarts },
    acts: [
      [atMs, once(isRunning('web'), (world) => world.declare('web', { ...restarts, memory: '1Gi' }))],
      [atMs + 5_000, once(isApplied, rollback('web'))],
      [atMs + 12_000, once(isApplied, rollback('web'))],
    ],
  },
  {
    name: 'an old forced update, a pending edit, and the label that counts forced updates is lost',
    vms: { web: {} },
    acts: [[atMs, once(isRunning('web'), forcedAndForgotten)]],
    expect: inTasks(2),
  },
  {
    name: 'its node is restored from a backup that is older than an edit',
    vms: { web: restarts },
    acts: [[atMs, once(isRunning('web'), editedAndRestored)]],
  },
  {
    name: 'delete, with a launch config of another uid',
    vms: { web: {}, db: {} },
    prepare: foreignConfig('sv-0123456789abcdef0123456789abcdef', ofAnother),
    acts: [[atMs, once(isRunning('web'), (world) => world.withdraw('web'))]],
    extraMs: 25_000,
  },
]
