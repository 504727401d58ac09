import { askPowerOffAll } from '../../../src/broker/power-off.ts'
import { replaceDisksAnnotation } from '../../../src/api/manifest/annotations.ts'
import { replaceToken } from '../../../src/api/replace-disks.ts'
import { force, isRunning, nodeOf, once, rollback } from '../people.ts'
import type { Act, Scenario } from '../scenario.ts'
import { powerOff, powerOn } from '../window-faults.ts'
import type { World } from '../world.ts'

const atMs = 7_000
/** dockerd kills a container two minutes after it was asked to end. */
const killedMs = 140_000

/** The next events count as trouble until they are over. */
function later(world: World, ms: number, act: (world: World) => void): void {
  world.troubleUntilMs = Math.max(world.troubleUntilMs, world.time.now() + ms)
  world.time.after(ms, () => act(world))
}

function containerOf(world: World, vm: string) {
  return [...world.machines.containers.values()].find((one) => one.vm === vm && one.holds)
}

function isBooting({ machines }: World): boolean {
  return machines.writersOf('web').some((one) => !one.isRunning)
}

function takenOver(dropsTaps: boolean, then: Act): Act {
  return once(isRunning('web'), (world) => {
    containerOf(world, 'web')?.takeOver(dropsTaps)
    world.machines.wasInterrupted = true
    then(world)
  })
}

/** The host unit asks the broker, and the host goes down when all is off. */
function shutDownHost(world: World): void {
  const nodeId = nodeOf(world, 'web')
  const machine = world.machines.machine(nodeId)
  const unit = machine.hostProgram('poweroff unit')
  const goDown = (): void => {
    const on = [...world.machines.containers.values()].find((one) => one.machine === machine && one.isRunning && !one.isTakenOver)
    if (on !== undefined && !machine.brokerAway) world.violate('OrderlyEnd', `${on.vm} runs as its host goes down`)
    if (machine.isUp) powerOff(world, nodeId)
    unit.end()
    later(world, 10_000, () => powerOn(world, nodeId))
  }
  world.machines.wasInterrupted = true
  world.troubleUntilMs = Math.max(world.troubleUntilMs, world.time.now() + 60_000)
  void askPowerOffAll(machine.sockets.of(unit), unit.clock, machine.layout.adminSocket, 50_000).then(
    () => later(world, 5_000, goDown),
    () =>
      later(world, 1_000, () => (machine.isUp ? powerOff(world, nodeId) : undefined, later(world, 10_000, () => powerOn(world, nodeId)))),
  )
}

/** The next moment in which a runner has its lease and no QEMU yet. */
function whenLeased(act: (world: World, nodeId: string) => void): Act {
  const look = (world: World, left: number): void => {
    const found = [...world.machines.containers.values()].find((one) => one.isLeased && one.qemu === undefined)
    if (found !== undefined && found.machine.host.tapNames().length > 0) return act(world, found.nodeId)
    if (left > 0) world.time.after(10, () => look(world, left - 1))
  }
  return (world) => look(world, 2_000)
}

const other = { disks: [{ name: 'root', size: '2Gi', image: { source: 'images/other.qcow2' } }] }

/** With the word that the agent asks for. */
function allowReplacement(world: World): void {
  const machine = world.machines.machine(nodeOf(world, 'web'))
  const uid = world.record('web')?.uid
  if (uid === undefined) return
  const [identity, wanted] = [machine.identity(uid), machine.orders.get(uid)?.disks[0]]
  if (identity === undefined || wanted === undefined) return
  const annotations = { [replaceDisksAnnotation]: `root=${replaceToken(identity, identity.disks, wanted)}` }
  world.declare('web', { ...other, annotations, runStrategy: 'Halted' })
  once(isReplaced, (there) => there.declare('web', { ...other, annotations }))(world)
}

function isRefused({ machines }: World): boolean {
  return [...machines.nodes.values()].some((one) =>
    [...one.orders.values()].some((order) => order.disks[0]?.image?.source === 'images/other.qcow2'),
  )
}

function isReplaced(world: World): boolean {
  const record = world.record('web')
  const identity = record === undefined ? undefined : world.machines.nodes.get(record.node ?? '')?.identity(record.uid)
  return identity?.disks[0]?.imageSource === 'images/other.qcow2'
}

const minutes = 60_000

/** Runners, their guests and the brokers above them. */
export const runners: readonly Scenario[] = [
  { name: 'a guest panics', vms: { web: {} }, acts: [[atMs, once(isRunning('web'), ({ machines }) => machines.crash('web', 'panic'))]] },
  {
    name: 'a forced update while the guest boots',
    vms: { web: {} },
    acts: [[2_000, once(isBooting, force('web'))]],
  },
  {
    name: 'a guest shuts itself down',
    vms: { web: {} },
    acts: [[atMs, once(isRunning('web'), ({ machines }) => machines.crash('web', 'shutdown'))]],
  },
  {
    name: 'a guest crashes after its runner waited eleven minutes',
    vms: { web: {} },
    acts: [
      ...[atMs, 12_000, 18_000].map((ms) => [ms, once(isRunning('web'), ({ machines }: World) => machines.crash('web'))] as const),
      [19_000, ({ machines }) => machines.nodes.forEach((one) => void (one.brokerAway = true))],
      [19_000 + 11 * minutes, ({ machines }) => machines.nodes.forEach((one) => void (one.brokerAway = false))],
      [20_000 + 11 * minutes, once(isRunning('web'), ({ machines }) => machines.crash('web'))],
    ],
  },
  { name: 'a host is shut down in order', vms: { web: {}, db: {} }, acts: [[9_000, once(isRunning('web'), shutDownHost)]] },
  {
    name: 'all nodes lose power, and no controller is there',
    vms: { web: {} },
    acts: [
      [
        9_000,
        once(isRunning('web'), (world) => {
          world.stopControllers()
          for (const id of world.machines.nodes.keys()) powerOff(world, id)
          later(world, 10_000, () => world.machines.nodes.forEach((_one, id) => powerOn(world, id)))
          later(world, 60_000, () => {
            const isCalm = world.faults.every((one) => one.kind !== 'window' && one.kind !== 'step')
            if (isCalm && !isRunning('web')(world)) world.violate('Converged', 'web does not come up without a controller')
            world.startController()
          })
        }),
      ],
    ],
  },
  {
    name: 'the broker goes away as the VM starts',
    vms: { web: {} },
    acts: [
      [
        0,
        whenLeased((world, nodeId) => {
          const machine = world.machines.machine(nodeId)
          machine.brokerAway = true
          later(world, 3_000, () => void (machine.brokerAway = false))
        }),
      ],
    ],
  },
  ...[false, true].map((dropsTaps) => ({
    name: `a hostile runner${dropsTaps ? ' releases its TAPs' : ''}, and the VM is restarted`,
    vms: { web: {} },
    acts: [[atMs, takenOver(dropsTaps, force('web'))] as const],
    extraMs: killedMs,
  })),
  {
    name: 'a hostile runner, and its VM is removed with its disks',
    vms: { web: { deletionPolicy: 'Delete' }, db: {} },
    acts: [[atMs, takenOver(true, (world) => world.withdraw('web'))]],
    extraMs: killedMs,
  },
  {
    name: 'a disk is replaced',
    vms: { web: {} },
    acts: [
      [atMs, once(isRunning('web'), (world) => world.declare('web', { ...other, runStrategy: 'Halted' }))],
      [atMs + 3_000, once(isRefused, allowReplacement)],
    ],
  },
  {
    name: 'an edit restarts the VM, and a rollback comes after twelve minutes',
    nodes: ['n1', 'n2'],
    vms: { web: { updatePolicy: 'Restart' } },
    acts: [
      [atMs, once(isRunning('web'), (world) => world.declare('web', { updatePolicy: 'Restart', memory: '1Gi' }))],
      [12 * minutes, once(isRunning('web'), rollback('web'))],
    ],
  },
]
