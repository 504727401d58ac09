import { managedBy, objectLabels } from '../../src/api/labels.ts'
import type { Labels } from '../../src/ports/swarm.ts'
import { dig, rawList, rawObject } from '../../src/reconcilers/shared/raw.ts'
import type { Act } from './scenario.ts'
import type { World } from './world.ts'
import { serviceOf } from '../support/branded.ts'

const retryMs = 500
const tries = 240

/** Does it as soon as it can be done: under faults a service may be there later than the script expects. */
export function once(canBeDone: (world: World) => boolean, act: Act): Act {
  const attempt = (world: World, left: number): void => {
    if (canBeDone(world)) {
      world.troubleUntilMs = Math.max(world.troubleUntilMs, world.time.now())
      return act(world)
    }
    if (left === 0) return
    world.troubleUntilMs = Math.max(world.troubleUntilMs, world.time.now() + retryMs)
    world.time.after(retryMs, () => attempt(world, left - 1))
  }
  return (world) => attempt(world, tries)
}

/** Once, right after the first write of which it is true. */
export function whenWritten({ swarm, time }: World, isTrue: () => boolean, act: () => void): void {
  const { afterWrite } = swarm
  swarm.afterWrite = (event) => {
    afterWrite(event)
    if (!isTrue()) return
    swarm.afterWrite = afterWrite
    time.after(0, act)
  }
}

export function hasService(name: string): (world: World) => boolean {
  return ({ swarm }) => swarm.service(serviceOf(name)) !== undefined
}

export function isRunning(name: string): (world: World) => boolean {
  return ({ machines }) => machines.writersOf(name).some((one) => one.isRunning)
}

/** The guest of web ran in one task, unless a fault ended it. */
export function neverRestarted({ machines }: World): string | undefined {
  if (machines.wasInterrupted) return undefined
  const tasks = new Set(machines.guests.filter((one) => one.vm === 'web').map((one) => one.taskId))
  return tasks.size === 1 ? undefined : `web ran in ${tasks.size} tasks`
}

export function nodeOf(world: World, name: string): string {
  const found = world.record(name)?.node
  if (found === undefined) throw new Error(`${name} is not placed`)
  return found
}

/** `docker service update --label-add` and `--label-rm`. */
export function labelService(name: string, change: (labels: Record<string, string>) => void): Act {
  return once(hasService(name), (world) =>
    world.editService(
      name,
      (spec) => {
        const labels = { ...(rawObject(spec['Labels']) as Labels) }
        change(labels)
        spec['Labels'] = labels
      },
      false,
    ),
  )
}

export function scale(name: string, replicas: number): Act {
  return once(hasService(name), (world) =>
    world.editService(name, (spec) => void (spec['Mode'] = { Replicated: { Replicas: replicas } }), false),
  )
}

/** `docker service update --env-add`: the template is another one now. */
export function changeTemplate(name: string): Act {
  return once(hasService(name), (world) =>
    world.editService(
      name,
      (spec) => {
        const template = rawObject(spec['TaskTemplate'])
        const container = rawObject(template['ContainerSpec'])
        spec['TaskTemplate'] = { ...template, ContainerSpec: { ...container, Env: ['DEBUG=1'] } }
      },
      true,
    ),
  )
}

/** `docker service rollback`: dockerd refuses where what the spec names is gone. */
export function rollback(name: string): Act {
  return once(hasService(name), (world) => {
    const before = world.swarm.service(serviceOf(name))?.previousSpec
    if (before === undefined) return
    const container = dig(before, 'TaskTemplate', 'ContainerSpec')
    const missing = [
      ...rawList(dig(container, 'Configs')).map((one) => dig(one, 'ConfigID')),
      ...rawList(dig(container, 'Secrets')).map((one) => dig(one, 'SecretID')),
    ].find((id) => !world.swarm.configs.has(String(id)) && !world.swarm.secrets.has(String(id)))
    if (missing !== undefined) return world.violate('RollbackKept', `a config or secret is gone, which the previous spec of ${name} names`)
    world.editService(name, (spec) => void Object.assign(spec, structuredClone(before)), true)
  })
}

/** `docker service update --force`. */
export function force(name: string): Act {
  return once(hasService(name), (world) =>
    world.editService(
      name,
      (spec) => {
        const template = rawObject(spec['TaskTemplate'])
        spec['TaskTemplate'] = { ...template, ForceUpdate: Number(template['ForceUpdate'] ?? 0) + 1 }
      },
      true,
    ),
  )
}

export function removeService(name: string): Act {
  return once(hasService(name), ({ swarm }) => {
    const service = swarm.service(serviceOf(name))
    if (service !== undefined) void swarm.removeService(service.id)
  })
}

/** `docker config rm sv-vm-NAME`. */
export function removeRecord(name: string): Act {
  return once(
    (world) => world.record(name) !== undefined,
    (world) => {
      const record = world.record(name)
      if (record === undefined) return
      void world.swarm.removeConfig(record.config.id)
      world.unrecorded.add(name)
    },
  )
}

export function labelNode(which: (world: World) => string | undefined, change: (labels: Record<string, string>) => void): Act {
  return once(
    (world) => which(world) !== undefined,
    (world) => world.swarm.editNodeLabels(which(world) ?? '', change),
  )
}

/** A service of somebody else, whatever it carries. */
export function foreignService(name: string, labels: Labels = {}): Act {
  return (world) => {
    const spec = { Name: name, Labels: labels, TaskTemplate: { ContainerSpec: { Image: 'nginx' } }, Mode: { Global: {} } }
    void world.swarm.createService(spec).then((id) => world.isForeign(id))
  }
}

export function foreignConfig(name: string, labels: Labels = {}): Act {
  return (world) => {
    void world.swarm.createConfig(name, labels, new TextEncoder().encode('theirs')).then((id) => world.isForeign(id))
  }
}

export const forged: Labels = { [objectLabels.managedBy]: managedBy }
