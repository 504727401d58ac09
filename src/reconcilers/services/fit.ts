import { formatBytes } from '../../api/quantity.ts'
import type { RawSpec, SwarmNode } from '../../ports/swarm.ts'
import { dig, rawNumber } from '../shared/raw.ts'
import type { MachineCheck } from '../shared/applied.ts'
import { isMet, labelConstraints } from '../shared/constraints.ts'
import { currentTask } from '../shared/vm-service.ts'
import type { ServicesSeen } from './observe.ts'

/** Why the node of a VM could not run this template, in words: the VM would be stopped for it and not come back. */
export function whyUnfit(template: RawSpec, node: SwarmNode | undefined, roomBytes: number = Number.POSITIVE_INFINITY): string | undefined {
  if (node === undefined) return 'its node is no member of the Swarm'
  const missing = labelConstraints({ spec: { TaskTemplate: template } }).find((one) => !isMet(one, node))
  if (missing !== undefined) return `${node.hostname} does not carry ${missing.label}=${missing.value}`
  return whyNoRoom(template, node, roomBytes)
}

/** A VM that is off waits for the labels of its node with any template. */
export function whyNoRoom(
  template: RawSpec,
  node: SwarmNode | undefined,
  roomBytes: number = Number.POSITIVE_INFINITY,
): string | undefined {
  if (node === undefined) return 'its node is no member of the Swarm'
  const needed = rawNumber(dig(template, 'Resources', 'Reservations', 'MemoryBytes')) ?? 0
  const has = `${formatBytes(node.memoryBytes)} of memory`
  const needs = `the VM needs ${formatBytes(needed)} with its overhead`
  if (needed > node.memoryBytes) return `${node.hostname} has ${has}, and ${needs}`
  if (needed <= roomBytes) return undefined
  return `${formatBytes(Math.max(roomBytes, 0))} of the ${has} of ${node.hostname} is free beside its other VMs and services, and ${needs}`
}

/** Swarm starts nothing on such a node, and a paused one keeps what runs: a guest that is stopped there stays off. One that is down already may start later. */
export function whyNotAgain({ node, tasks }: Pick<ServicesSeen, 'node' | 'tasks'>): string | undefined {
  if (node === undefined || currentTask(tasks)?.state !== 'running') return undefined
  if (node.state !== 'ready') return `${node.hostname} is ${node.state}`
  if (node.availability === 'active') return undefined
  return `the availability of ${node.hostname} is ${node.availability}: docker node update --availability active ${node.hostname}`
}

/** A person changed its record: its disks are where it runs, and nowhere else it would start again. */
export function whyElsewhere({ node, elsewhere }: Pick<ServicesSeen, 'node' | 'elsewhere'>): string | undefined {
  if (elsewhere === undefined) return undefined
  return `it runs on ${elsewhere.hostname}, and its placement record names ${node?.hostname ?? 'no member of the Swarm'}`
}

/** The node checks accelerator and networks of an edit before the VM is stopped for them. */
export function whyUnprepared({ node }: Pick<ServicesSeen, 'node'>, check: MachineCheck): string | undefined {
  if (check === 'accepted') return undefined
  const said = check === 'refused' ? 'refuses' : 'has not checked'
  return `${node?.hostname ?? 'its node'} ${said} accelerator and networks of the manifest; see AssetsReady`
}
