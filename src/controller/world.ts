import { managedBy, objectLabels } from '../api/labels.ts'
import { vmNamePattern, type VmName } from '../api/names.ts'
import type { Labels, Swarm, SwarmNode } from '../ports/swarm.ts'

/** What the Swarm itself says exists. */
export interface World {
  readonly nodes: readonly SwarmNode[]
  /** VMs that have a service of ours, or a placement record that is not of a removed VM, with the generation that the service carries. */
  readonly vms: ReadonlyMap<VmName, string | undefined>
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
  // The services come last: their generation counts.
  const owned = [...live, ...services].map((one) => one.labels).filter((labels) => isOurs(labels, cluster))
  return { nodes, vms: new Map(owned.flatMap((labels) => vmOf(labels).map((vm) => [vm, labels[objectLabels.generation]] as const))) }
}

function isOurs(labels: Labels, cluster: string): boolean {
  const of = labels[objectLabels.cluster]
  return labels[objectLabels.managedBy] === managedBy && (of === undefined || of === cluster)
}

function vmOf(labels: Labels): VmName[] {
  const vm = labels[objectLabels.vm]
  return vm !== undefined && vmNamePattern.test(vm) ? [vm] : []
}
