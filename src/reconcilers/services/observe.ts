import { objectLabels } from '../../api/labels.ts'
import { placementRecordName, serviceName, type VmName } from '../../api/names.ts'
import type { Declaration, Declarations } from '../../ports/declarations.ts'
import type { ClusterSettings } from '../../ports/settings.ts'
import type { Swarm, SwarmConfig, SwarmNode, SwarmSecret, SwarmTask } from '../../ports/swarm.ts'
import type { DisruptionLease, LeaseSeen } from '../shared/disruption-lease.ts'
import { memoryNeedBytes } from '../shared/machine-shape.ts'
import { type PlacementRecord, readPlacementRecords } from '../shared/placement-record.ts'
import { isUserNic, nicsOf } from '../shared/applied.ts'
import { portConflict } from '../shared/published-ports.ts'
import { rendered } from '../shared/rendered-networks.ts'
import { reservedByOthers, vmReads } from '../shared/swarm-reads.ts'
import { currentTask, isVmService, type Ownership, ownershipOf, reservedBytes } from '../shared/vm-service.ts'

type SwarmUsed =
  | 'apiVersion'
  | 'listNodes'
  | 'listServices'
  | 'getService'
  | 'createService'
  | 'updateService'
  | 'removeService'
  | 'listTasks'
  | 'getConfig'
  | 'listConfigs'
  | 'createConfig'
  | 'updateConfigLabels'
  | 'removeConfig'
  | 'listSecrets'
  | 'createSecret'
  | 'removeSecret'

export interface ServicesPorts {
  readonly swarm: Pick<Swarm, SwarmUsed>
  readonly recent: Pick<Swarm, 'getConfig' | 'getService'>
  readonly declarations: Declarations
  readonly settings: ClusterSettings
  readonly lease: Pick<DisruptionLease, 'observe' | 'apply'>
}

export interface ServicesSeen {
  readonly vm: VmName
  readonly declaration: Declaration
  readonly settings: ClusterSettings
  /** Negotiated, such as `1.41`. */
  readonly apiVersion: string
  readonly record: PlacementRecord | undefined
  /** The record's node. */
  readonly node: SwarmNode | undefined
  /** Another ready node, if the VM runs there. */
  readonly elsewhere: SwarmNode | undefined
  /** Memory of the node that other VMs and services do not reserve; undefined if the VM does not grow. */
  readonly roomBytes: number | undefined
  /** Why another service keeps the VM from publishing its ports. */
  readonly portConflict: string | undefined
  /** Only read if the plan starts, stops or restarts a guest. */
  readonly lease?: LeaseSeen
  /** `AssumedPlacements.mark` from before the observation; undefined in a dry run. */
  readonly mark?: number
  readonly owned: Ownership
  /** Tasks of the service, if it exists. */
  readonly tasks: readonly SwarmTask[]
  /** Every config and secret labelled with this VM, including the placement record. */
  readonly configs: readonly SwarmConfig[]
  readonly secrets: readonly SwarmSecret[]
}

/** Reads configs and secrets before the service, so that one created in between is not on the list and not removed as unused. */
export async function observeServices(ports: Omit<ServicesPorts, 'lease'>, vm: VmName, signal: AbortSignal): Promise<ServicesSeen> {
  const { swarm, settings, declarations } = ports
  const declared = declarations.get(vm)
  const apiVersion = await swarm.apiVersion(signal)
  const { getConfig, getService } = vmReads(ports, declared)
  const config = await getConfig(placementRecordName(vm), signal)
  const [read] = config === undefined ? [] : readPlacementRecords([config])
  const record = read?.vm === vm ? read : undefined
  const declaration = rendered(declared, settings, record)
  const nodes = await swarm.listNodes(signal)
  const node = nodes.find((one) => one.id === record?.node)
  const configs = await swarm.listConfigs(`${objectLabels.vm}=${vm}`, signal)
  const secrets = await swarm.listSecrets(`${objectLabels.vm}=${vm}`, signal)
  const owned = ownershipOf(vm, await getService(serviceName(vm), signal))
  const tasks = owned.kind === 'absent' ? [] : await swarm.listTasks({ serviceId: owned.service.id }, signal)
  const elsewhere = runsElsewhere(nodes, node, tasks)
  const roomBytes = await roomFor(ports, { declaration, node, owned }, signal)
  const conflict = await conflictFor(ports, { declaration, record, owned }, signal)
  return {
    vm,
    declaration,
    settings,
    apiVersion,
    record,
    node,
    elsewhere,
    roomBytes,
    portConflict: conflict,
    owned,
    tasks,
    configs,
    secrets,
  }
}

async function conflictFor(
  { swarm, settings }: Pick<ServicesPorts, 'swarm' | 'settings'>,
  { declaration, record, owned }: Pick<ServicesSeen, 'declaration' | 'record' | 'owned'>,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (declaration.kind !== 'present') return undefined
  const nics = nicsOf(settings.cluster, declaration.vm, record?.sshPort)
  const wanted = nics.flatMap((nic) => (isUserNic(nic) ? nic.user.ports : [])).filter(({ published }) => published !== undefined)
  if (wanted.length === 0) return undefined
  const own = owned.kind === 'absent' ? undefined : owned.service.id
  return portConflict(
    wanted,
    (await swarm.listServices(undefined, signal)).filter(({ id }) => id !== own),
  )
}

/** Ignores nodes that are down: Swarm wants no task there, and nobody knows what still runs. */
function runsElsewhere(nodes: readonly SwarmNode[], node: SwarmNode | undefined, tasks: readonly SwarmTask[]): SwarmNode | undefined {
  const task = currentTask(tasks)
  if (task?.state !== 'running') return undefined
  return nodes.find((one) => one.id === task.nodeId && one.id !== node?.id && one.state === 'ready')
}

/** Does not subtract the VM's own reservation, because Swarm stops the old task first. VMs that are off keep theirs. */
async function roomFor(
  { swarm, settings }: Pick<ServicesPorts, 'swarm' | 'settings'>,
  { declaration, node, owned }: Pick<ServicesSeen, 'declaration' | 'node' | 'owned'>,
  signal: AbortSignal,
): Promise<number | undefined> {
  if (declaration.kind !== 'present' || node === undefined || owned.kind !== 'ours') return undefined
  const wanted = memoryNeedBytes(declaration.vm, settings)
  if (wanted <= reservedBytes(owned.service)) return undefined
  const services = await swarm.listServices(`${objectLabels.component}=vm`, signal)
  const others = services.filter((one) => one.id !== owned.service.id && one.labels[objectLabels.node] === node.id && isVmService(one))
  const beside = (await reservedByOthers(swarm, signal)).get(node.id) ?? 0
  return others.reduce((free, one) => free - reservedBytes(one), node.memoryBytes - beside)
}
