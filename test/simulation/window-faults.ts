import type { Fault, WindowFaultKind } from './faults.ts'
import type { World } from './world.ts'

type Window = Extract<Fault, { kind: 'window' }>

/** Sets what a window says to begin and to end in the world's own time. */
export function scheduleWindows(world: World, faults: readonly Fault[]): void {
  for (const fault of faults) {
    if (fault.kind !== 'window') continue
    const { what, atMs, forMs } = fault
    world.troubleUntilMs = Math.max(world.troubleUntilMs, world.startedMs + atMs + forMs)
    world.time.after(atMs, () => {
      world.note(`fault ${what} begins`)
      const end = begin[what](world, fault)
      world.time.after(forMs, () => {
        world.note(`fault ${what} ends`)
        end()
      })
    })
  }
}

/** Begins one, and gives what ends it. */
const begin: Readonly<Record<WindowFaultKind, (world: World, fault: Window) => () => void>> = {
  'events-silent': ({ streams }) => {
    streams.silent = true
    return () => void (streams.silent = false)
  },
  'events-broken': ({ streams }) => {
    streams.breakAll()
    return () => streams.breakAll()
  },
  'swarm-away': ({ boundary, streams }) => {
    boundary.swarmAway = true
    streams.breakAll()
    return () => void (boundary.swarmAway = false)
  },
  // A cut-off leader serves old reads for about a second.
  'stale-reads': (world, { which }) => {
    world.boundary.staleWrites = 1 + (which % 5)
    world.time.after(1_000, () => void (world.boundary.staleWrites = 0))
    return () => undefined
  },
  'agent-away': (world, fault) => {
    const machine = machineOf(world, fault)
    machine.away = true
    return () => void (machine.away = false)
  },
  'agent-dead': (world, fault) => {
    const machine = machineOf(world, fault)
    machine.killAgent()
    return () => {
      machine.killAgent()
      // The next agent starts up to 2 s later.
      world.troubleUntilMs = Math.max(world.troubleUntilMs, world.time.now() + 2_000)
    }
  },
  'agent-slow': (world, fault) => {
    const machine = machineOf(world, fault)
    machine.slow = true
    return () => void (machine.slow = false)
  },
  'broker-away': (world, fault) => {
    const machine = machineOf(world, fault)
    machine.brokerAway = true
    return () => void (machine.brokerAway = false)
  },
  'node-off': (world, fault) => {
    const { nodeId } = machineOf(world, fault)
    powerOff(world, nodeId)
    return () => powerOn(world, nodeId)
  },
  'node-cut-off': (world, fault) => {
    const { nodeId } = machineOf(world, fault)
    cutOff(world, nodeId)
    return () => rejoin(world, nodeId)
  },
  'disk-full': (world, fault) => {
    const machine = machineOf(world, fault)
    machine.diskFull = true
    return () => void (machine.diskFull = false)
  },
  'source-unreadable': (world) => {
    world.setUnreadable(world.source(), 'EIO: i/o error')
    return () => world.setUnreadable(world.source(), '')
  },
  'two-controllers': (world) => {
    const second = world.startController()
    return () => void (second.alive = false)
  },
  'clock-jump': (world, { which }) => {
    world.clockOffsetMs += (which - 2) * 30_000
    return () => undefined
  },
  // Until somebody ends its container.
  'runner-hostile': (world, { which }) => {
    const all = [...world.machines.containers.values()].filter((one) => one.holds)
    const taken = all[which % Math.max(1, all.length)]
    taken?.takeOver(which % 2 === 0)
    return () => taken !== undefined && world.machines.kill(taken)
  },
  'containers-linger': (world) => {
    const usual = world.machines.lingerMs
    world.machines.lingerMs = () => world.random.int(5_000, 30_000)
    return () => void (world.machines.lingerMs = usual)
  },
}

function machineOf(world: World, { which }: Window) {
  const all = [...world.machines.nodes.values()]
  const found = all[which % all.length]
  if (found === undefined) throw new Error('a world without nodes')
  return found
}

/** Managers give a node up when it was silent for some seconds. */
const noticedMs = 5_000

/** A node that was removed for good is nobody's business any more. */
function tellManagers({ swarm }: World, nodeId: string, state: string): void {
  if (swarm.nodes.has(nodeId)) swarm.changeNode(nodeId, { state })
}

export function powerOff(world: World, nodeId: string): void {
  world.machines.powerOff(nodeId)
  world.time.after(noticedMs, () => {
    if (world.machines.nodes.get(nodeId)?.isUp !== true) tellManagers(world, nodeId, 'down')
  })
}

export function powerOn(world: World, nodeId: string): void {
  if (!world.machines.nodes.has(nodeId)) return
  world.machines.powerOn(nodeId)
  tellManagers(world, nodeId, 'ready')
}

/** `docker swarm leave` and `join`: a new node ID, the old entry is down and stays listed, and the state root is the same. */
export function joinAgain(world: World, nodeId: string, hostname: string): void {
  const { machines } = world
  const before = machines.machine(nodeId)
  powerOff(world, nodeId)
  machines.nodes.delete(nodeId)
  world.addNode(hostname)
  const again = [...machines.nodes.values()].find((one) => one.hostname === hostname)
  for (const disk of machines.disks.filter((one) => one.nodeId === nodeId)) {
    again?.restore(disk.uid, before)
    Object.assign(disk, { nodeId: again?.nodeId })
  }
}

/** Agent and managers do not hear of the node; what runs there runs on. */
export function cutOff(world: World, nodeId: string): void {
  const machine = world.machines.machine(nodeId)
  machine.away = true
  machine.isConnected = false
  world.machines.wasInterrupted = true
  world.time.after(noticedMs, () => {
    if (!machine.isConnected) tellManagers(world, nodeId, 'down')
  })
}

export function rejoin(world: World, nodeId: string): void {
  if (!world.machines.nodes.has(nodeId)) return
  const machine = world.machines.machine(nodeId)
  machine.away = false
  machine.isConnected = true
  tellManagers(world, nodeId, 'ready')
}
