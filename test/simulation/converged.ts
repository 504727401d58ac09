import { managedBy, nodeLabels, objectLabels } from '../../src/api/labels.ts'
import type { SwarmService } from '../../src/ports/swarm.ts'
import type { StatusView } from '../../src/ports/status-view.ts'
import { constraintsOf, replicasOf } from './docker-rules.ts'
import type { Container } from './node/container.ts'
import type { Scenario } from './scenario.ts'
import type { TruthOfVm } from './truth.ts'
import type { World } from './world.ts'
import { serviceOf } from '../support/branded.ts'

/** The first thing that is not as it was declared, or undefined. */
export function whatIsMissing(
  world: World,
  { blocked = {}, mayBeBlocked = {} }: Pick<Scenario, 'blocked' | 'mayBeBlocked'>,
): string | undefined {
  const views = world.views()
  if (views.length === 0) return 'no controller lives'
  for (const [name, truth] of world.truth.vms) {
    const reason = blocked[name]
    const excuse = mayBeBlocked[name]
    const isExcused = excuse !== undefined && notExplained(name, excuse, views) === undefined
    const missing = reason === undefined ? missingOf(world, name, truth, views) : notExplained(name, reason, views)
    if (!isExcused && missing !== undefined) return missing
  }
  const leak = [...world.machines.nodes.values()].find((one) => one.openDescriptors() > 0)
  if (leak !== undefined) return `agent and broker of ${leak.hostname} keep ${leak.openDescriptors()} descriptors open`
  return unlabelledNode(world)
}

function notExplained(name: string, reason: string, views: readonly StatusView[]): string | undefined {
  for (const view of views) {
    const conditions = view.vm(name)?.conditions ?? []
    if (conditions.some((one) => one.type === 'Ready' && one.status === 'True'))
      return `${name} is said to be Ready, and is blocked by ${reason}`
    if (!conditions.some((one) => one.reason === reason)) return `no condition of ${name} says ${reason}`
  }
  return undefined
}

function missingOf(world: World, name: string, truth: TruthOfVm, views: readonly StatusView[]): string | undefined {
  const service = ownedService(world, name)
  if (truth.state === 'absent') return leftOf(world, name, service, views)
  if (truth.generation === undefined || truth.vm === undefined)
    return service === undefined ? undefined : `${name} was never valid and has a service`
  if (service === undefined) return `${name} has no service`
  if (service.labels[objectLabels.generation] !== truth.generation) return `the service of ${name} carries another generation`
  return truth.vm.spec.runStrategy === 'Halted' ? notHalted(world, name, service, views) : notRunning(world, name, service, truth, views)
}

function ownedService(world: World, name: string): SwarmService | undefined {
  const service = world.swarm.service(serviceOf(name))
  return service?.labels[objectLabels.managedBy] === managedBy ? service : undefined
}

/** A VM without a manifest only keeps its record and its disk. */
function leftOf(world: World, name: string, service: SwarmService | undefined, views: readonly StatusView[]): string | undefined {
  if (!world.truth.mayBeRemoved(name, world.time.now())) return `${name} is not due to be removed yet`
  if (service !== undefined) return `the service of ${name} is still there`
  if (world.machines.writersOf(name).length > 0) return `${name} still runs`
  const ofVm = [...world.swarm.configs.values(), ...world.swarm.secrets.values()].filter(
    (one) => one.labels[objectLabels.vm] === name && !world.foreign.has(one.id),
  )
  const left = ofVm.find((one) => one.labels[objectLabels.component] !== 'placement' && one.labels[objectLabels.managedBy] === managedBy)
  if (left !== undefined) return `${left.name} of ${name} is still there`
  const record = world.record(name)
  const deletes = world.truth.of(name)?.vm?.spec.deletionPolicy === 'Delete'
  if (deletes && record !== undefined) return `the record of ${name} is still there`
  if (deletes && world.machines.disks.some((one) => one.vm === name)) return `a disk of ${name} is still there`
  if (record !== undefined && record.retainedAt === undefined) return `the record of ${name} does not say that it is retained`
  // Also where nothing tells its uid any more.
  const granted = [...world.machines.nodes.values()].find(
    (one) => one.isUp && one.records().some((held) => held.granted && (held.uid === record?.uid || held.vm === name)),
  )
  if (granted !== undefined) return `${name} still has its grant on ${granted.nodeId}`
  return views.some((view) => view.vm(name) !== undefined) ? `${name} is not forgotten` : undefined
}

function notHalted(world: World, name: string, service: SwarmService, views: readonly StatusView[]): string | undefined {
  if (replicasOf(service.spec) !== 0) return `${name} has replicas and is Halted`
  if (world.machines.writersOf(name).length > 0) return `${name} is Halted and still runs`
  const other = views.map((view) => readyOf(view, name)?.reason).find((reason) => reason !== 'Halted')
  return other === undefined ? undefined : `Ready of ${name} says ${other} and not Halted`
}

function notRunning(world: World, name: string, service: SwarmService, truth: TruthOfVm, views: readonly StatusView[]): string | undefined {
  if (replicasOf(service.spec) !== 1) return `the service of ${name} has ${replicasOf(service.spec)} replicas`
  const writers = world.machines.writersOf(name)
  if (writers.length !== 1 || writers[0]?.isRunning !== true)
    return `${name} has ${writers.length} writers, running: ${writers.map((one) => one.isRunning).join()}`
  const broken = writers[0] === undefined ? undefined : notWhole(writers[0])
  if (broken !== undefined) return broken
  const record = world.record(name)
  if (record === undefined || record.retainedAt !== undefined) return `${name} has no record, or one that says it is retained`
  if (record.uid !== service.labels[objectLabels.uid]) return `record and service of ${name} have different uids`
  const held = constraintsOf(service.spec).toSorted().join(', ')
  if (held !== `node.id==${record.node}, node.labels.vm-capable==true`) return `the service of ${name} is held by ${held}`
  for (const view of views) {
    if (view.vm(name)?.conditions.some((one) => one.reason === 'HandOver') === true)
      return `${name} is still handed over from one source to another`
    const ready = readyOf(view, name)
    if (ready?.status !== 'True') return `${name} is not Ready: ${ready?.reason ?? 'no condition'}, ${ready?.message ?? ''}`
    if (ready.observedGeneration !== truth.generation) return `Ready of ${name} is of another generation`
    if (view.vm(name)?.observedGeneration !== truth.generation) return `observedGeneration of ${name} is another one`
  }
  return undefined
}

function readyOf(view: StatusView, name: string) {
  return view.vm(name)?.conditions.find((one) => one.type === 'Ready')
}

/** The content of the disk of a running VM. */
function notWhole({ machine, uid, vm, qemu }: Container): string | undefined {
  const open = qemu?.nics.find(({ tap, mac }) => tap !== '' && machine.host.lockOf(tap) !== mac)
  if (open !== undefined) return `${open.tap} of ${vm} has no rules`
  const { disk, layout: paths } = machine
  const known = machine.identity(uid)
  if (known === undefined) return `${vm} runs and has no identity`
  for (const { name, imageSha256 } of known.disks) {
    const image = disk.at(paths.diskFile(uid, name))?.image
    const backing = imageSha256 === undefined ? undefined : `../images/${imageSha256}`
    if (image === undefined || image.backing !== backing) return `disk ${name} of ${vm} is not the one that its identity names`
    if (imageSha256 !== undefined && disk.at(`${paths.instanceImages(uid)}/${imageSha256}`) === undefined)
      return `disk ${name} of ${vm} has lost its image`
  }
  const left = [...(disk.list(paths.disks(uid)) ?? []), ...(disk.list(paths.instance(uid)) ?? [])].find(
    (name) => name.startsWith('.') || name.endsWith('.draft'),
  )
  return left === undefined ? undefined : `${left} of ${vm} was left`
}

/** A node whose agent and broker answer is capable; what it was while they did not stays its own affair. */
function unlabelledNode(world: World): string | undefined {
  for (const [id, machine] of world.machines.nodes) {
    const node = world.swarm.nodes.get(id)
    if (node === undefined || machine.away || !machine.isUp || machine.brokerAway) continue
    const former = Object.keys(node.labels).find((key) => key.startsWith(nodeLabels.formerVmPrefix))
    if (former !== undefined) return `${node.hostname} still carries ${former}`
    if (node.labels[nodeLabels.vmCapable] !== 'true') return `${node.hostname} is not labelled vm-capable`
    if (node.labels[nodeLabels.accel] === undefined) return `${node.hostname} is not labelled with an accelerator`
    if (node.labels[nodeLabels.bridge('br0')] !== 'true') return `${node.hostname} is not labelled with br0`
  }
  return undefined
}
