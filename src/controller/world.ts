import { managedBy, objectLabels } from '../api/labels.ts'
import type { Mac } from '../api/mac.ts'
import { vmNamePattern, type VmName } from '../api/names.ts'
import type { Labels, Swarm, SwarmConfig, SwarmNode, SwarmSecret, SwarmService } from '../ports/swarm.ts'
import { deletePolicy } from '../reconcilers/shared/placement-record.ts'
import { launchedMacs } from '../reconcilers/services/running.ts'
import type { OwnedVm } from './declare-state.ts'

/** What the Swarm itself says exists. */
export interface World {
  readonly nodes: readonly SwarmNode[]
  /** VMs that have a service, config or secret of ours; the placement record of a removed VM is not counted. */
  readonly vms: ReadonlyMap<VmName, OwnedVm>
}

type Lists = Pick<Swarm, 'listNodes' | 'listServices' | 'listConfigs' | 'listSecrets'>

/** Reads which nodes there are and which VMs this cluster owns something of. Throws PortError. Of the same lists the world is the very same one. */
export function worldReader(cluster: string): (swarm: Lists, signal: AbortSignal) => Promise<World> {
  let last: { readonly lists: readonly unknown[]; readonly world: World } | undefined
  return async (swarm, signal) => {
    const ours = `${objectLabels.managedBy}=${managedBy}`
    const lists = await Promise.all([
      swarm.listNodes(signal),
      swarm.listServices(ours, signal),
      swarm.listConfigs(ours, signal),
      swarm.listSecrets(ours, signal),
    ])
    const isSame = lists.every((list, place) => list === last?.lists[place])
    if (last === undefined || !isSame) last = { lists, world: worldOf(lists, cluster) }
    return last.world
  }
}

type Read = readonly [readonly SwarmNode[], readonly SwarmService[], readonly SwarmConfig[], readonly SwarmSecret[]]

function worldOf([nodes, services, configs, secrets]: Read, cluster: string): World {
  const live = configs.filter((config) => isRecord(config) && config.labels[objectLabels.retainedAt] === undefined)
  // What a crash left of a removal is found by these alone, when service and record are done already.
  const rest = labelByVm([...configs.filter((config) => !isRecord(config)), ...secrets], objectLabels.vm, cluster)
  const [generations, sources] = [labelByVm(services, objectLabels.generation, cluster), labelByVm(live, objectLabels.source, cluster)]
  const names = new Set([...generations.keys(), ...sources.keys(), ...rest.keys()])
  const macs = macsByVm(services, configs, cluster)
  const macsOf = (vm: VmName): readonly Mac[] | undefined => (macs.has(vm) ? macs.get(vm) : [])
  const policies = labelByVm(live, objectLabels.deletionPolicy, cluster)
  const ownedOf = (vm: VmName): OwnedVm => ({
    generation: generations.get(vm),
    source: sources.get(vm),
    ...(policies.get(vm) === deletePolicy ? { deletes: true } : {}),
    macs: macsOf(vm),
  })
  const vms = new Map([...names].map((vm) => [vm, ownedOf(vm)]))
  return { nodes, vms }
}

/** What guests are started with; a launch config that is not in a list may be there all the same. */
function macsByVm(
  services: readonly SwarmService[],
  configs: readonly SwarmConfig[],
  cluster: string,
): ReadonlyMap<VmName, readonly Mac[] | undefined> {
  const byName = new Map(configs.map((config) => [config.name, config]))
  const owned = services.filter(({ labels }) => isOurs(labels, cluster))
  return new Map(owned.flatMap((service) => vmOf(service.labels).map((vm) => [vm, launchedMacs(service, byName)] as const)))
}

function isRecord({ labels }: { readonly labels: Labels }): boolean {
  return labels[objectLabels.component] === 'placement'
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
