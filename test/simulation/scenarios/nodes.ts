import { nodeLabels } from '../../../src/api/labels.ts'
import { dig, rawList } from '../../../src/reconcilers/shared/raw.ts'
import { force, isRunning, labelNode, neverRestarted, nodeOf, once } from '../people.ts'
import type { Act, Scenario } from '../scenario.ts'
import { cutOff, joinAgain, powerOff, powerOn, rejoin } from '../window-faults.ts'
import type { World } from '../world.ts'
import { serviceOf } from '../../support/branded.ts'

/** To the node that the VM is on, and to the same one later. */
function toItsNode(act: (world: World, nodeId: string) => void): Act {
  return once(isRunning('web'), (world) => act(world, nodeOf(world, 'web')))
}
const ofWeb = (world: World): string | undefined => world.record('web')?.node
/** Longer than the first half may wait for its turn under faults. */
const laterMs = 20_000

function machine(world: World, nodeId: string) {
  return world.machines.machine(nodeId)
}

/** A person restores what was a disk of web on the other node, identity and all. */
function restoreElsewhere(world: World, nodeId: string, age: 'old' | 'newest' = 'old'): void {
  const other = [...world.machines.nodes.keys()].find((id) => id !== nodeId)
  const disk = world.machines.disks.find((one) => one.vm === 'web' && one.nodeId === nodeId)
  if (other === undefined || disk === undefined) return
  machine(world, other).restore(disk.uid, machine(world, nodeId))
  world.machines.disks.push({ ...disk, nodeId: other, ...(age === 'old' ? { isCopy: true } : {}) })
}

function forget(world: World): void {
  const service = world.swarm.service(serviceOf('web'))
  const record = world.record('web')
  if (service !== undefined) void world.swarm.removeService(service.id)
  if (record !== undefined) void world.swarm.removeConfig(record.config.id)
  world.unrecorded.add('web')
}

/** `docker node rm`. */
function removeEntry({ swarm }: World, nodeId: string): void {
  swarm.nodes.delete(nodeId)
  swarm.settle()
}

/** It is held to one of the nodes that have its disk. */
function onItsNodeAlone(world: World): string | undefined {
  const [runs, wanted] = [world.machines.writersOf('web').map((one) => one.nodeId), nodeOf(world, 'web')]
  if (runs.join() !== wanted) return `web runs on ${runs.join()}, and its node is ${wanted}`
  const constraints = dig(world.swarm.service(serviceOf('web'))?.spec, 'TaskTemplate', 'Placement', 'Constraints')
  return rawList(constraints)[0] === `node.id==${wanted}` ? undefined : `web is not held to ${wanted}`
}

function onN9Alone(world: World): string | undefined {
  return nodeOf(world, 'web') === 'node-n9' ? onItsNodeAlone(world) : `web is on ${nodeOf(world, 'web')}`
}

/** An upgrade of QEMU that fails, with KVM and without: the restarted agent probes it and finds the node incapable. */
function breakQemu(world: World, nodeId: string): void {
  machine(world, nodeId).qemuBroken = true
  machine(world, nodeId).killAgent()
}

function repairQemu(world: World, nodeId: string): void {
  machine(world, nodeId).qemuBroken = false
  machine(world, nodeId).killAgent()
}

/** The second half comes when the first was done, whenever that was. */
function forAWhile(first: (world: World, nodeId: string) => void, then: (world: World, nodeId: string) => void, ms = laterMs - 7_000): Act {
  return toItsNode((world, nodeId) => {
    first(world, nodeId)
    world.troubleUntilMs = Math.max(world.troubleUntilMs, world.time.now() + ms)
    world.time.after(ms, () => then(world, nodeId))
  })
}

export const nodes: readonly Scenario[] = [
  {
    name: 'a node is added',
    vms: { web: {} },
    acts: [[7_000, (world) => world.addNode('n3')]],
    expect: ({ swarm }) => (swarm.nodes.get('node-n3')?.labels[nodeLabels.vmCapable] === 'true' ? undefined : 'n3 is not capable'),
  },
  {
    name: 'its node is drained and back',
    vms: { web: {} },
    acts: [
      [
        7_000,
        forAWhile(
          (world, id) => {
            machine(world, id).away = true
            world.swarm.changeNode(id, { availability: 'drain' })
          },
          (world, id) => {
            machine(world, id).away = false
            world.swarm.changeNode(id, { availability: 'active' })
          },
        ),
      ],
    ],
  },
  {
    name: 'its node is paused and back',
    vms: { web: {} },
    acts: [
      [
        7_000,
        forAWhile(
          (world, id) => world.swarm.changeNode(id, { availability: 'pause' }),
          (world, id) => world.swarm.changeNode(id, { availability: 'active' }),
        ),
      ],
    ],
  },
  { name: 'its node loses power', vms: { web: {} }, acts: [[7_000, forAWhile(powerOff, powerOn)]] },
  { name: 'its node loses power for a second', vms: { web: {} }, acts: [[7_000, forAWhile(powerOff, powerOn, 1_000)]] },
  { name: 'its node is cut off', vms: { web: {} }, acts: [[7_000, forAWhile(cutOff, rejoin)]] },
  {
    name: 'all nodes lose power',
    vms: { web: {}, db: {} },
    acts: [
      [9_000, (world) => world.machines.nodes.forEach((_one, id) => powerOff(world, id))],
      [20_000, (world) => world.machines.nodes.forEach((_one, id) => powerOn(world, id))],
    ],
  },
  {
    name: 'its node is removed from the Swarm for good',
    vms: { web: {} },
    acts: [
      [
        7_000,
        toItsNode((world, id) => {
          world.machines.powerOff(id)
          world.swarm.nodes.delete(id)
          world.swarm.settle()
        }),
      ],
    ],
    blocked: { web: 'DiskNodeUnknown' },
  },
  ...['n9', 'node-n9'].map(
    (word): Scenario => ({
      name: `its machine joins again under another name, and the manifest follows its disk to ${word}`,
      vms: { web: {} },
      acts: [
        [7_000, toItsNode((world, id) => joinAgain(world, id, 'n9'))],
        [laterMs, (world) => world.declare('web', { annotations: { 'swarmvirt.dev/follow-disk': word } })],
      ],
      expect: onN9Alone,
    }),
  ),
  {
    name: 'its machine joins again under another name, and its old entry is removed',
    vms: { web: {} },
    acts: [[7_000, forAWhile((world, id) => joinAgain(world, id, 'n9'), removeEntry)]],
    expect: onN9Alone,
  },
  {
    name: 'its machine joins again under another name, and nobody says what that means',
    vms: { web: {} },
    acts: [
      [7_000, toItsNode((world, id) => joinAgain(world, id, 'n9'))],
      [laterMs, (world) => world.declare('web', { annotations: { 'swarmvirt.dev/follow-disk': 'n2' } })],
    ],
    blocked: { web: 'DiskElsewhere' },
  },
  {
    name: 'its node loses power, a backup of its disk is followed on the other one, and the node is back',
    vms: { web: {} },
    acts: [
      [
        7_000,
        forAWhile(
          (world, id) => {
            powerOff(world, id)
            restoreElsewhere(world, id, 'newest')
            const other = [...world.machines.nodes.keys()].find((one) => one !== id)
            world.declare('web', { annotations: { 'swarmvirt.dev/follow-disk': other } })
          },
          (world, id) => {
            world.declare('web')
            powerOn(world, id)
          },
        ),
      ],
      [laterMs + 10_000, force('web')],
    ],
    expect: onItsNodeAlone,
  },
  {
    name: 'a backup of its disk is on another node, and its record and service are removed',
    vms: { web: {} },
    acts: [
      // The copy is on the node that is asked first.
      [0, (world) => void (machine(world, 'node-n1').brokerAway = true)],
      [5_000, (world) => void (machine(world, 'node-n1').brokerAway = false)],
      [
        7_000,
        toItsNode((world, id) => {
          restoreElsewhere(world, id)
          forget(world)
        }),
      ],
    ],
    mayBeBlocked: { web: 'SeveralDisks' },
  },
  {
    name: 'the node loses vm-capable',
    vms: { web: {} },
    acts: [[7_000, labelNode(ofWeb, (labels) => delete labels[nodeLabels.vmCapable])]],
  },
  {
    name: 'all labels are taken away',
    vms: { web: {} },
    acts: [[7_000, labelNode(ofWeb, (labels) => Object.keys(labels).forEach((label) => delete labels[label]))]],
  },
  {
    name: 'somebody labels the node',
    vms: { web: {} },
    acts: [200, 1_000, 2_000, 7_000].map(
      (atMs) =>
        [
          atMs,
          labelNode(
            () => 'node-n1',
            (labels) => void (labels[`zone-${atMs}`] = 'a'),
          ),
        ] as const,
    ),
    expect: ({ swarm }) => (swarm.nodes.get('node-n1')?.labels['zone-7000'] === 'a' ? undefined : 'the label of somebody else is gone'),
  },
  {
    name: 'the agent is away from the start',
    vms: { web: {} },
    acts: [
      [0, (world) => world.machines.nodes.forEach((one) => void (one.away = true))],
      [15_000, (world) => world.machines.nodes.forEach((one) => void (one.away = false))],
    ],
  },
  {
    name: 'its agent goes away',
    vms: { web: {} },
    acts: [
      [
        7_000,
        forAWhile(
          (world, id) => void (machine(world, id).away = true),
          (world, id) => void (machine(world, id).away = false),
        ),
      ],
    ],
  },
  {
    name: 'its record and service are removed while its agent is away',
    vms: { web: {} },
    acts: [
      [
        7_000,
        forAWhile(
          (world, id) => {
            machine(world, id).away = true
            forget(world)
          },
          (world, id) => void (machine(world, id).away = false),
        ),
      ],
    ],
    expect: ({ machines }) => (machines.disks.length === 1 ? undefined : `web has ${machines.disks.length} disks`),
  },
  {
    name: 'its agent is away while a second VM comes',
    vms: { web: {} },
    acts: [
      [
        7_000,
        forAWhile(
          (world, id) => void (machine(world, id).away = true),
          (world, id) => void (machine(world, id).away = false),
        ),
      ],
      [9_000, (world) => world.declare('db')],
    ],
  },
  {
    name: 'its broker goes away',
    vms: { web: {} },
    acts: [
      [
        7_000,
        forAWhile(
          (world, id) => void (machine(world, id).brokerAway = true),
          (world, id) => void (machine(world, id).brokerAway = false),
        ),
      ],
    ],
  },
  {
    name: 'QEMU fails on its node when the agent restarts, its broker goes away, and both are repaired',
    vms: { web: {} },
    acts: [
      [
        7_000,
        forAWhile(
          (world, id) => {
            breakQemu(world, id)
            world.time.after(6_000, () => void (machine(world, id).brokerAway = true))
          },
          (world, id) => {
            machine(world, id).brokerAway = false
            repairQemu(world, id)
          },
        ),
      ],
    ],
    expect: neverRestarted,
  },
  {
    name: 'the broker is away from the start',
    vms: { web: {} },
    acts: [
      [0, (world) => world.machines.nodes.forEach((one) => void (one.brokerAway = true))],
      [12_000, (world) => world.machines.nodes.forEach((one) => void (one.brokerAway = false))],
    ],
  },
  {
    name: 'the image is missing, then there',
    vms: { web: {} },
    acts: [
      [0, (world) => world.machines.nodes.forEach((one) => void (one.imageMissing = true))],
      [15_000, (world) => world.machines.nodes.forEach((one) => void (one.imageMissing = false))],
    ],
  },
  {
    name: 'the disk is full, then has room',
    vms: { web: {} },
    acts: [
      [0, (world) => world.machines.nodes.forEach((one) => void (one.diskFull = true))],
      [15_000, (world) => world.machines.nodes.forEach((one) => void (one.diskFull = false))],
    ],
  },
  {
    name: 'the disk is full under a guest that runs, then has room',
    vms: { web: {} },
    acts: [
      [20_000, (world) => world.machines.nodes.forEach((one) => void (one.diskFull = true))],
      [50_000, (world) => world.machines.nodes.forEach((one) => void (one.diskFull = false))],
    ],
  },
]
