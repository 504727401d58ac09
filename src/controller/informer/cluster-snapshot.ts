import { objectLabels } from '../../api/labels.ts'
import { hostOf } from '../../api/manifest/lan-claims.ts'
import type { VmName } from '../../api/names.ts'
import type { Labels, Swarm, SwarmConfig, SwarmNode, SwarmSecret, SwarmService } from '../../ports/swarm.ts'
import { launchIn } from '../../reconcilers/shared/applied.ts'
import { type PlacementRecord, readPlacementRecords, recordsLabel } from '../../reconcilers/shared/placement-record.ts'
import { isLeftOf, vmOfObject } from '../../reconcilers/shared/vm-objects.ts'
import { isVmService, launchConfigName, vmOf } from '../../reconcilers/shared/vm-service.ts'
import type { OwnedVm } from '../declarations/state.ts'

/** The nodes, and the VMs that have objects in the Swarm. */
export interface ClusterSnapshot {
  readonly nodes: readonly SwarmNode[]
  /** VMs that have a service, config or secret of ours. The placement record of a removed VM does not count. */
  readonly vms: ReadonlyMap<VmName, OwnedVm>
}

type Lists = Pick<Swarm, 'listNodes' | 'listServices' | 'listConfigs' | 'listSecrets'>

/** Reads the nodes, and the VMs with objects of this cluster. Returns the same snapshot while the lists are the same. Throws PortError. */
export function snapshotReader(cluster: string): (swarm: Lists, signal: AbortSignal) => Promise<ClusterSnapshot> {
  let last: { readonly lists: readonly unknown[]; readonly snapshot: ClusterSnapshot } | undefined
  return async (swarm, signal) => {
    const lists = await Promise.all([
      swarm.listNodes(signal),
      swarm.listServices(recordsLabel, signal),
      swarm.listConfigs(recordsLabel, signal),
      swarm.listSecrets(recordsLabel, signal),
    ])
    const isSame = lists.every((list, place) => list === last?.lists[place])
    if (last === undefined || !isSame) last = { lists, snapshot: snapshotOf(lists, cluster) }
    return last.snapshot
  }
}

type Read = readonly [readonly SwarmNode[], readonly SwarmService[], readonly SwarmConfig[], readonly SwarmSecret[]]

/** Uses the same rules as a removal to decide which VM owns an object. Otherwise a removal would never end, or be forgotten too early. */
function snapshotOf([nodes, services, configs, secrets]: Read, cluster: string): ClusterSnapshot {
  const records = new Map(
    readPlacementRecords(configs).flatMap((one) => (isOfCluster(one.config, cluster) ? [[one.vm, one] as const] : [])),
  )
  const owned = new Map(services.flatMap((one) => (isOfCluster(one, cluster) ? ownedService(one) : [])))
  // If the controller crashes during a removal, only these may be left.
  const objects = [...vmsOf('launch', configs, cluster, records), ...vmsOf('userdata', secrets, cluster, records)]
  const live = [...records.values()].filter(({ retainedAt }) => retainedAt === undefined).map(({ vm }) => vm)
  const byName = new Map(configs.map((config) => [config.name, config]))
  const names = new Set([...owned.keys(), ...live, ...objects])
  const vms = new Map([...names].map((vm) => [vm, ownedVm(owned.get(vm), records.get(vm), byName)]))
  return { nodes, vms }
}

/** `macs` is undefined if the list lacks the launch config of the service, since the config may exist all the same. */
function ownedVm(
  service: SwarmService | undefined,
  record: PlacementRecord | undefined,
  configs: ReadonlyMap<string, SwarmConfig>,
): OwnedVm {
  const live = record?.retainedAt === undefined ? record : undefined
  const config = service && configs.get(launchConfigName(service) ?? '')
  const launch = config && launchIn(config.data)
  return {
    generation: service?.labels[objectLabels.generation],
    source: live?.config.labels[objectLabels.source],
    ...(live?.deletes === true ? { deletes: true } : {}),
    ...(live?.mustConfirm === true ? { mustConfirm: true } : {}),
    macs: service === undefined ? [] : launch?.nics.map(({ mac }) => mac),
    addresses: launch?.cloudInit.networks?.map(({ address }) => hostOf(address)),
  }
}

function ownedService(service: SwarmService): (readonly [VmName, SwarmService])[] {
  const vm = vmOf(service)
  return vm !== undefined && isVmService(service) ? [[vm, service]] : []
}

function vmsOf(
  component: 'launch' | 'userdata',
  objects: readonly { readonly labels: Labels }[],
  cluster: string,
  records: ReadonlyMap<VmName, PlacementRecord>,
): VmName[] {
  return objects.flatMap((one) => {
    const vm = isOfCluster(one, cluster) ? vmOfObject(component, one) : undefined
    return vm !== undefined && isLeftOf(records.get(vm), one) ? [vm] : []
  })
}

function isOfCluster({ labels }: { readonly labels: Labels }, cluster: string): boolean {
  const of = labels[objectLabels.cluster]
  return of === undefined || of === cluster
}
