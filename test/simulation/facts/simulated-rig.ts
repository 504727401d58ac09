import type { SwarmEvent } from '../../../src/ports/swarm.ts'
import { factsUid, type Rig } from '../../contract/swarm-facts/rig.ts'
import { Machines } from '../machines.ts'
import { seededRandom } from '../seeded-random.ts'
import { SimulatedSwarm } from '../simulated-swarm.ts'
import { VirtualTime } from '../virtual-time.ts'

const container = { Image: 'any:1', Command: ['run'], StopGracePeriod: 2_000_000_000 }
const quietMs = 5_000
const turnMs = 50
const turns = 1_000

/** Only the simulated Swarm: a task's container starts and stops at the moment in which a manager requests it. */
export function simulatedRig(): Rig {
  const time = new VirtualTime()
  const swarm = new SimulatedSwarm(() => time.now())
  for (const hostname of ['n1', 'n2', 'n3']) swarm.addNode(hostname)
  return rigOf(swarm, time, async () => false, false)
}

/** As the seeds run it: containers on machines, which take their time. */
export function machinesRig(seed: number): Rig {
  const time = new VirtualTime()
  const swarm = new SimulatedSwarm(() => time.now())
  const machines = new Machines({
    swarm,
    time,
    random: seededRandom(seed),
    faults: [],
    stateRoot: '/var/lib/swarmvirt',
    onFault: () => undefined,
    trace: () => undefined,
    onInternalError: () => undefined,
    onSpawn: () => undefined,
    onHold: () => undefined,
    onPowerCut: () => undefined,
    onDisk: () => undefined,
    onDeleted: () => undefined,
    onRevoke: () => undefined,
    onOrder: () => undefined,
  })
  for (const hostname of ['n1', 'n2', 'n3']) {
    const id = machines.add(hostname)
    machines.machine(id).bring(factsUid, undefined)
  }
  return rigOf(swarm, time, async (task) => machines.containers.has(task.id), true)
}

function rigOf(swarm: SimulatedSwarm, time: VirtualTime, isUp: Rig['isUp'], hasContainers: boolean): Rig {
  swarm.networks.add('facts-net').add('facts-other')
  return {
    swarm,
    prefix: 'facts',
    container,
    stubborn: container,
    networks: ['facts-net', 'facts-other'],
    hasContainers,
    isUp,
    async listen() {
      const heard: SwarmEvent[] = []
      swarm.afterWrite = (event) => void heard.push(event)
      return { heard, stop: async () => void (swarm.afterWrite = () => undefined) }
    },
    async remove(hostname) {
      const id = `node-${hostname}`
      swarm.removeNode(id)
      return id
    },
    quiet: () => pass(time, quietMs),
    async until(what, read) {
      for (let turn = 0; turn < turns; turn += 1) {
        const value = await read()
        if (value !== undefined) return value
        await pass(time, turnMs)
      }
      throw new Error(`${what} did not happen`)
    },
  }
}

async function pass(time: VirtualTime, ms: number): Promise<void> {
  const endMs = time.now() + ms
  while (await time.step(endMs));
}
