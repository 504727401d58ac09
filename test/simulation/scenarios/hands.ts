import { canonicalJson } from '../../../src/api/hash.ts'
import { objectLabels } from '../../../src/api/labels.ts'
import { dig } from '../../../src/reconcilers/shared/raw.ts'
import { type VmUid } from '../../../src/api/names.ts'
import {
  changeTemplate,
  foreignConfig,
  foreignService,
  force,
  forged,
  hasService,
  isRunning,
  labelService,
  neverRestarted,
  once,
  removeRecord,
  removeService,
  scale,
  whenWritten,
} from '../people.ts'
import { placeByLabels } from '../former-release.ts'
import type { Scenario } from '../scenario.ts'
import type { World } from '../world.ts'
import { aUid, serviceOf } from '../../support/branded.ts'

const atMs = 7_000

function oneDisk({ machines }: World): string | undefined {
  return machines.disks.length === 1 ? undefined : `web has ${machines.disks.length} disks`
}

function serviceLabel(world: World, key: string): string | undefined {
  return world.swarm.service(serviceOf('web'))?.labels[key]
}

function hasNoEnv({ swarm }: World): string | undefined {
  const env = dig(swarm.service(serviceOf('web'))?.spec, 'TaskTemplate', 'ContainerSpec', 'Env')
  return env === undefined ? undefined : 'the changed template was not restored'
}

const anotherUid = aUid('00000000-0000-4000-8000-00000000000f')

/** It was on n1 before. */
function instance(uid: VmUid, identity?: { readonly vm: string; readonly cluster: string }): (world: World) => void {
  return ({ machines }) => machines.machine('node-n1').bring(uid, identity)
}

/** All that lies below an instance directory of n1. */
function filesOf({ machines }: World, uid: VmUid): string {
  const { disk, layout } = machines.machine('node-n1')
  return canonicalJson(disk.below(layout.instance(uid)).map((path) => ({ path, ...disk.at(path), lockedBy: null })))
}

/** Changes of swarmvirt's objects with the docker CLI. */
/** A person keeps them for other ends; nobody hears of it. */
function takeObjects({ swarm }: World, vm: string): void {
  for (const objects of [swarm.configs, swarm.secrets]) {
    for (const one of objects.values()) {
      if (one.labels[objectLabels.vm] !== vm || one.labels[objectLabels.component] === 'placement') continue
      const { [objectLabels.managedBy]: _taken, ...labels } = one.labels
      Object.assign(one, { labels, version: one.version + 1_000_000 })
    }
  }
}

export const hands: readonly Scenario[] = [
  { name: 'the service is removed', vms: { web: {} }, acts: [[atMs, removeService('web')]], expect: oneDisk },
  {
    name: 'the service is removed, and its manifest too',
    vms: { web: {} },
    acts: [
      [atMs, removeService('web')],
      [atMs, (world) => world.withdraw('web')],
    ],
    extraMs: 25_000,
  },
  {
    name: 'the service and the record are removed, and its manifest too',
    vms: { web: {} },
    acts: [
      [
        atMs,
        once(isRunning('web'), (world) => {
          removeService('web')(world)
          removeRecord('web')(world)
          world.withdraw('web')
        }),
      ],
    ],
    // A node is asked once a minute which grants it has.
    extraMs: 70_000,
    expect: oneDisk,
  },
  {
    name: 'the service and its launch config are removed',
    vms: { web: {} },
    acts: [
      [
        atMs,
        once(hasService('web'), ({ swarm }) => {
          const service = swarm.service(serviceOf('web'))
          if (service !== undefined) void swarm.removeService(service.id)
          for (const one of swarm.configs.values()) if (one.labels[objectLabels.component] === 'launch') void swarm.removeConfig(one.id)
        }),
      ],
    ],
    expect: oneDisk,
  },
  {
    name: 'the service loses managed-by',
    vms: { web: {} },
    acts: [[atMs, labelService('web', (labels) => delete labels[objectLabels.managedBy])]],
    blocked: { web: 'OwnershipLost' },
  },
  {
    name: 'the service loses managed-by and gets it back',
    vms: { web: {} },
    acts: [
      [
        atMs,
        once(isRunning('web'), (world) => {
          labelService('web', (labels) => delete labels[objectLabels.managedBy])(world)
          world.troubleUntilMs = Math.max(world.troubleUntilMs, world.time.now() + 8_000)
          world.time.after(8_000, () => labelService('web', (labels) => void Object.assign(labels, forged))(world))
        }),
      ],
    ],
  },
  {
    name: 'the service loses the uid label',
    vms: { web: {} },
    acts: [[atMs, labelService('web', (labels) => delete labels[objectLabels.uid])]],
  },
  {
    name: 'the service loses every label except managed-by',
    vms: { web: {} },
    acts: [
      [atMs, labelService('web', (labels) => Object.keys(labels).forEach((one) => one !== objectLabels.managedBy && delete labels[one]))],
    ],
  },
  {
    name: 'somebody labels the service',
    vms: { web: {} },
    acts: [3_000, 4_000, atMs].map((ms) => [ms, labelService('web', (labels) => void (labels[`team-${ms}`] = 'a'))] as const),
    expect: (world) => (serviceLabel(world, `team-${atMs}`) === 'a' ? undefined : 'the label of somebody else is gone'),
  },
  {
    name: 'somebody labels the service as an edit comes',
    vms: { web: {} },
    acts: [
      [atMs, once(isRunning('web'), (world) => world.declare('web', { memory: '1Gi' }))],
      ...[200, 220, 240, 260, 280].map((ms) => [atMs + ms, labelService('web', (labels) => void (labels[`team-${ms}`] = 'a'))] as const),
    ],
    expect: (world) => (serviceLabel(world, 'team-280') === 'a' ? undefined : 'the label of somebody else is gone'),
  },
  { name: 'the template is changed', vms: { web: {} }, acts: [[atMs, changeTemplate('web')]], expect: hasNoEnv },
  {
    name: 'the template is changed twice in the same way, and the controller dies between',
    vms: { web: {} },
    acts: [
      [
        atMs,
        (world) => {
          whenWritten(
            world,
            () => serviceLabel(world, objectLabels.driftHash) !== undefined,
            () => {
              for (const life of world.lives()) world.crash(life)
              changeTemplate('web')(world)
            },
          )
          changeTemplate('web')(world)
        },
      ],
    ],
    expect: hasNoEnv,
  },
  { name: 'the service is scaled to 0', vms: { web: {} }, acts: [[atMs, scale('web', 0)]] },
  { name: 'the service is scaled to 3', vms: { web: {} }, acts: [[atMs, scale('web', 3)]] },
  { name: 'a forced update', vms: { web: {} }, acts: [[atMs, force('web')]] },
  {
    name: 'the update policy is changed',
    vms: { web: {} },
    acts: [
      [
        atMs,
        once(isRunning('web'), (world) =>
          world.editService(
            'web',
            (spec) => void (spec['UpdateConfig'] = { Parallelism: 1, FailureAction: 'rollback', Order: 'start-first' }),
            false,
          ),
        ),
      ],
    ],
    expect: neverRestarted,
  },
  { name: 'the record is removed', vms: { web: {} }, acts: [[atMs, removeRecord('web')]], expect: oneDisk },
  {
    name: 'the record is removed while the VM is made',
    vms: { web: {} },
    acts: [[600, removeRecord('web')]],
  },
  {
    name: 'the service and the record are removed',
    vms: { web: {} },
    acts: [
      [atMs, removeService('web')],
      [atMs, removeRecord('web')],
    ],
    expect: oneDisk,
  },
  {
    name: 'the record loses its labels',
    vms: { web: {} },
    acts: [
      [
        atMs,
        once(
          (world) => world.record('web') !== undefined,
          (world) => {
            const config = world.record('web')?.config
            if (config !== undefined) void world.swarm.updateConfigLabels(config, forged)
          },
        ),
      ],
    ],
    expect: oneDisk,
  },
  {
    name: 'its disk is gone from the node',
    vms: { web: {} },
    acts: [[atMs, once(isRunning('web'), ({ machines }) => machines.nodes.forEach((one) => one.loseInstances()))]],
    blocked: { web: 'DiskMissing' },
    expect: oneDisk,
  },
  {
    name: 'an upgrade from the previous way of hashing',
    vms: { web: {} },
    acts: [
      [
        atMs,
        once(
          isRunning('web'),
          labelService('web', (labels) => {
            for (const key of [objectLabels.appliedHash, objectLabels.desiredHash, objectLabels.templateHash])
              labels[key] = 'of-the-previous-release'
            labels[objectLabels.hashVersion] = '0'
          }),
        ),
      ],
    ],
    expect: neverRestarted,
  },
  {
    name: 'an upgrade from the previous way of hashing, with another runner image',
    vms: { web: {} },
    acts: [
      [
        atMs,
        once(isRunning('web'), (world) => {
          labelService('web', (labels) => {
            for (const key of [objectLabels.appliedHash, objectLabels.desiredHash, objectLabels.templateHash])
              labels[key] = 'of-the-previous-release'
            labels[objectLabels.hashVersion] = '0'
          })(world)
          world.settings = { ...world.settings, runnerImage: 'swarmvirt-node:2' }
          for (const life of world.lives()) world.crash(life)
        }),
      ],
    ],
    expect: neverRestarted,
  },
  {
    name: 'an upgrade from the previous labels',
    vms: { web: {} },
    acts: [
      [
        atMs,
        once(
          isRunning('web'),
          labelService('web', (labels) => {
            labels[objectLabels.schema] = '0'
            delete labels[objectLabels.forceUpdate]
            delete labels[objectLabels.templateHash]
          }),
        ),
      ],
    ],
    expect: neverRestarted,
  },
  {
    name: 'an upgrade from placement by labels',
    vms: { web: {}, db: {} },
    acts: [
      [
        atMs,
        once(
          (world) => isRunning('web')(world) && isRunning('db')(world),
          (world) => {
            for (const name of ['web', 'db']) placeByLabels(world, name)
            world.settings = { ...world.settings, runnerImage: 'swarmvirt-node:2' }
            for (const life of world.lives()) world.crash(life)
          },
        ),
      ],
    ],
    expect: neverRestarted,
  },
  {
    name: 'an upgrade with another runner image',
    vms: { web: {} },
    acts: [
      [
        atMs,
        once(isRunning('web'), (world) => {
          world.settings = { ...world.settings, runnerImage: 'swarmvirt-node:2' }
          for (const life of world.lives()) world.crash(life)
        }),
      ],
    ],
    expect: neverRestarted,
  },
  {
    name: 'a foreign service has the name',
    vms: { web: {} },
    acts: [],
    prepare: foreignService('vm-web'),
    blocked: { web: 'NameTaken' },
  },
  {
    name: 'a foreign service has the name and the owner label',
    vms: { web: {} },
    acts: [],
    prepare: foreignService('vm-web', forged),
    blocked: { web: 'NameTaken' },
  },
  {
    name: 'a foreign service has the name, the owner label and a forged uid',
    vms: { web: {} },
    acts: [],
    prepare: foreignService('vm-web', { ...forged, [objectLabels.vm]: 'web', [objectLabels.uid]: '99999999-2222-4333-8444-555555555555' }),
    blocked: { web: 'ForeignUid' },
  },
  {
    name: 'a foreign service gives up the name',
    vms: { web: {} },
    prepare: foreignService('vm-web'),
    acts: [
      [
        8_000,
        ({ swarm, foreign }) => {
          const service = swarm.service('vm-web')
          if (service === undefined) return
          foreign.delete(service.id)
          void swarm.removeService(service.id)
        },
      ],
    ],
  },
  {
    name: 'a foreign config has the name of the record',
    vms: { web: {} },
    acts: [],
    prepare: foreignConfig('sv-vm-web'),
    blocked: { web: 'NameTaken' },
  },
  {
    name: 'a disk of another cluster has the name of the VM',
    vms: { web: {} },
    acts: [[0, instance(anotherUid, { vm: 'web', cluster: 'theirs' })]],
    expect: (world) => {
      const now = filesOf(world, anotherUid)
      instance(anotherUid, { vm: 'web', cluster: 'theirs' })(world)
      const strip = (text: string): string => text.replaceAll(/"(number|modifiedMs)":\d+/g, '')
      return strip(now) === strip(filesOf(world, anotherUid)) ? undefined : 'the disk of another cluster was touched'
    },
  },
  {
    name: 'a disk whose identity cannot be read',
    vms: { web: {} },
    acts: [[0, instance(anotherUid)]],
    blocked: { web: 'UnidentifiedDisk' },
    expect: ({ machines }) => (machines.disks.length === 0 ? undefined : 'web has got a disk'),
  },
  {
    name: 'its service loses the VM label, and its manifest is removed',
    vms: { web: {}, db: {} },
    acts: [
      [
        7_000,
        once(isRunning('web'), (world) => {
          world.withdraw('web')
          world.troubleUntilMs = Math.max(world.troubleUntilMs, world.time.now() + 5_000)
          // In the grace, in which nobody puts it back.
          world.time.after(5_000, () => labelService('web', (labels) => delete labels[objectLabels.vm])(world))
        }),
      ],
    ],
    extraMs: 25_000,
  },
  {
    name: 'its service loses the owner label, and its manifest is removed',
    vms: { web: {}, db: {} },
    acts: [
      [
        7_000,
        once(isRunning('web'), (world) => {
          labelService('web', (labels) => delete labels[objectLabels.managedBy])(world)
          world.withdraw('web')
        }),
      ],
      // The grace of its removal is over long before.
      [45_000, () => undefined],
    ],
    blocked: { web: 'OwnershipLost' },
    expect: ({ swarm }) => (swarm.service(serviceOf('web')) === undefined ? 'web was removed' : undefined),
    extraMs: 25_000,
  },
  {
    name: 'its secret and launch config lose our label without an event, and its manifest is removed',
    vms: { web: { cloudInit: { userData: '#cloud-config\n' } }, db: {} },
    acts: [
      [
        7_000,
        once(isRunning('web'), (world) => {
          world.withdraw('web')
          world.troubleUntilMs = Math.max(world.troubleUntilMs, world.time.now() + 5_000)
          world.time.after(5_000, () => takeObjects(world, 'web'))
        }),
      ],
    ],
    extraMs: 60_000,
  },
  {
    name: 'a service that carries our owner label and another name',
    vms: { web: {} },
    acts: [],
    prepare: (world) => {
      foreignService('monitoring', forged)(world)
      foreignConfig('theirs', forged)(world)
    },
  },
]
