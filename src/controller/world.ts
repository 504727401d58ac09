import { managedBy, objectLabels } from '../api/labels.ts'
import { vmNamePattern, type VmName } from '../api/names.ts'
import type { Labels, Swarm, SwarmNode } from '../ports/swarm.ts'
import type { OwnedVm } from './declare-state.ts'

/** What the Swarm itself says exists. */
export interface World {
  readonly nodes: readonly SwarmNode[]
  /** VMs that have a service of ours, or a placement record that is not of a removed VM. */
  readonly vms: ReadonlyMap<VmName, OwnedVm>
}

/** Reads which nodes there are and which VMs this cluster owns something of. Throws PortError. */
export async function readWorld(
  swarm: Pick<Swarm, 'listNodes' | 'listServices' | 'listConfigs'>,
  cluster: string,
  signal: AbortSignal,
): Promise<World> {
  const [nodes, services, records] = await Promise.all([
    swarm.listNodes(signal),
    swarm.listServices(`${objectLabels.managedBy}=${managedBy}`, signal),
    swarm.listConfigs(`${objectLabels.component}=placement`, signal),
  ])
  const live = records.filter((record) => record.labels[objectLabels.retainedAt] === undefined)
  const [generations, sources] = [labelByVm(services, objectLabels.generation, cluster), labelByVm(live, objectLabels.source, cluster)]
  const names = new Set([...generations.keys(), ...sources.keys()])
  const vms = new Map([...names].map((vm) => [vm, { generation: generations.get(vm), source: sources.get(vm) }]))
  return { nodes, vms }
}

/** What each VM's object says; undefined where it is there and does not. */
function labelByVm(objects: readonly { readonly labels: Labels }[], label: string, cluster: string): Map<VmName, string | undefined> {
  const owned = objects.map((one) => one.labels).filter((labels) => isOurs(labels, cluster))
  return new Map(owned.flatMap((labels) => vmOf(labels).map((vm) => [vm, labels[label]] as const)))
}

function isOurs(labels: Labels, cluster: string): boolean {
  const of = labels[objectLabels.cluster]
  return labels[objectLabels.managedBy] === managedBy && (of === undefined || of === cluster)
}

function vmOf(labels: Labels): VmName[] {
  const vm = labels[objectLabels.vm]
  return vm !== undefined && vmNamePattern.test(vm) ? [vm] : []
}
