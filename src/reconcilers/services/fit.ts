import { formatBytes } from '../../api/quantity.ts'
import type { RawSpec, SwarmNode } from '../../ports/swarm.ts'
import { dig, rawNumber } from '../shared/raw.ts'
import type { MachineCheck } from '../shared/applied.ts'
import { isMet, labelConstraints } from '../shared/constraints.ts'
import { currentTask } from '../shared/vm-service.ts'
import type { ServicesSeen } from './observe.ts'

/** Says why the node could not run this template: the VM would be stopped and not start again. */
export function whyUnfit(template: RawSpec, node: SwarmNode | undefined, roomBytes: number = Number.POSITIVE_INFINITY): string | undefined {
  if (node === undefined) return 'its node is not a member of the Swarm'
  const missing = labelConstraints({ spec: { TaskTemplate: template } }).find((one) => !isMet(one, node))
  if (missing !== undefined) return `${node.hostname} does not have the label ${missing.label}=${missing.value}`
  return whyTooFewCpus(template, node) ?? whyNoRoom(template, node, roomBytes)
}

/** Docker refuses a container with a larger limit. */
function whyTooFewCpus(template: RawSpec, node: SwarmNode): string | undefined {
  const limit = rawNumber(dig(template, 'Resources', 'Limits', 'NanoCPUs')) ?? 0
  if (limit <= node.nanoCpus) return undefined
  return `${node.hostname} has ${inCpus(node.nanoCpus)} CPUs, and resources.cpuLimit is ${inCpus(limit)}`
}

function inCpus(nanoCpus: number): number {
  return nanoCpus / 1_000_000_000
}

/** Checks memory only: a VM that is off may wait for the labels of its node. */
export function whyNoRoom(
  template: RawSpec,
  node: SwarmNode | undefined,
  roomBytes: number = Number.POSITIVE_INFINITY,
): string | undefined {
  if (node === undefined) return 'its node is not a member of the Swarm'
  const needed = rawNumber(dig(template, 'Resources', 'Reservations', 'MemoryBytes')) ?? 0
  const has = `${formatBytes(node.memoryBytes)} of memory`
  const needs = `the VM needs ${formatBytes(needed)} with its overhead`
  if (needed > node.memoryBytes) return `${node.hostname} has ${has}, and ${needs}`
  if (needed <= roomBytes) return undefined
  return `${formatBytes(Math.max(roomBytes, 0))} of the ${has} of ${node.hostname} is free beside its other VMs and services, and ${needs}`
}

/** Swarm starts no task on a node that is down, paused or drained, so a running guest that is stopped there would stay off. */
export function whyNotAgain({ node, tasks }: Pick<ServicesSeen, 'node' | 'tasks'>): string | undefined {
  if (node === undefined || currentTask(tasks)?.state !== 'running') return undefined
  if (node.state !== 'ready') return `${node.hostname} is ${node.state}`
  if (node.availability === 'active') return undefined
  return `the availability of ${node.hostname} is ${node.availability}: docker node update --availability active ${node.hostname}`
}

/** A user changed its record: its disks are on the node where it runs, and it could start nowhere else. */
export function whyElsewhere({ node, elsewhere }: Pick<ServicesSeen, 'node' | 'elsewhere'>): string | undefined {
  if (elsewhere === undefined) return undefined
  return `it runs on ${elsewhere.hostname}, but its placement record names ${node?.hostname ?? 'no member of the Swarm'}`
}

/** The node checks accelerator and networks of an edit before the VM is stopped for them. */
export function whyUnprepared({ node }: Pick<ServicesSeen, 'node'>, check: MachineCheck): string | undefined {
  if (check === 'accepted') return undefined
  const verb = check === 'refused' ? 'rejects' : 'has not checked'
  return `${node?.hostname ?? 'its node'} ${verb} the accelerator and networks of the manifest; see AssetsReady`
}
