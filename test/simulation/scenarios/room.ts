import { force, isRunning, once } from '../people.ts'
import type { Act, Scenario } from '../scenario.ts'
import type { World } from '../world.ts'

const atMs = 7_000
/** A node has 8 GiB, and a VM takes some 210 MiB beside its guest. */
const most = { memory: '5Gi' }
/** Two of them fill a node. */
const half = { memory: '3840Mi' }

function bothRun(world: World): boolean {
  return isRunning('web')(world) && isRunning('db')(world)
}

/** All VMs come to n1. */
const pausedFromTheStart: Scenario['acts'][number] = [0, ({ swarm }) => swarm.changeNode('node-n2', { availability: 'pause' })]

/** A global service, whose task is there from the beginning. */
function reservedBySomebody(hostname: string): Act {
  return ({ swarm }) => {
    const memory = 5 * 1024 ** 3
    const TaskTemplate = { ContainerSpec: { Image: 'database' }, Resources: { Reservations: { MemoryBytes: memory } } }
    const agent = swarm.tasks.get(`task-agent-${hostname}`)
    if (agent === undefined) throw new Error(`no node ${hostname}`)
    const isThere = (serviceId: string): void => {
      swarm.tasks.set('task-database', { ...agent, id: 'task-database', serviceId, reserved: { memory, cpu: 0 } })
    }
    void swarm.createService({ Name: 'database', Labels: {}, TaskTemplate, Mode: { Global: {} } }).then(isThere)
  }
}

/** The memory of the nodes, as controller and scheduler count it. */
export const room: readonly Scenario[] = [
  { name: 'four VMs at once fill the nodes', vms: { web: half, db: half, mail: half, shop: half }, acts: [] },
  {
    name: 'a VM fits on no node',
    vms: { web: most, db: most },
    acts: [[atMs, once(bothRun, (world) => world.declare('mail', most))]],
    blocked: { mail: 'InsufficientMemory' },
  },
  {
    name: 'a VM waits for the memory of one that is removed',
    vms: { web: most, db: most },
    acts: [
      [
        atMs,
        once(bothRun, (world) => {
          world.declare('mail', most)
          world.withdraw('db')
        }),
      ],
    ],
    extraMs: 25_000,
  },
  {
    name: 'an edit gives a VM all memory that its neighbor leaves',
    vms: { web: { memory: '1Gi', updatePolicy: 'Restart' }, db: half },
    acts: [pausedFromTheStart, [atMs, once(bothRun, (world) => world.declare('web', { ...half, updatePolicy: 'Restart' }))]],
  },
  {
    name: 'a full node, and a person restarts its VM',
    vms: { web: most },
    acts: [pausedFromTheStart, [atMs, once(isRunning('web'), force('web'))]],
  },
  {
    name: 'a foreign service reserves most of a node',
    vms: { web: most },
    acts: [[0, reservedBySomebody('n1')]],
  },
  {
    name: 'an edit does not fit beside a foreign service',
    vms: { web: { memory: '1Gi', updatePolicy: 'Restart' } },
    acts: [
      pausedFromTheStart,
      [0, reservedBySomebody('n1')],
      [atMs, once(isRunning('web'), (world) => world.declare('web', { ...most, updatePolicy: 'Restart' }))],
    ],
    expect: (world) => (isRunning('web')(world) ? undefined : 'web was stopped for what its node cannot run'),
  },
]
