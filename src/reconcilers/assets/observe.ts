import { objectLabels } from '../../api/labels.ts'
import { placementRecordName, serviceName, type VmName, type VmUid } from '../../api/names.ts'
import type { InstanceRecord, NodeFacts, PrepareOrder, PrepareStatus } from '../../api/wire/agent-api.ts'
import type { Agents } from '../../ports/agents.ts'
import type { Declaration, Declarations } from '../../ports/declarations.ts'
import { PortError } from '../../ports/errors.ts'
import type { Random } from '../../ports/random.ts'
import type { ClusterSettings } from '../../ports/settings.ts'
import type { Swarm, SwarmConfig, SwarmNode, SwarmService } from '../../ports/swarm.ts'
import { appliedMachine, type Machine } from '../shared/applied.ts'
import type { DisruptionLease, LeaseSeen } from '../shared/disruption-lease.ts'
import { type Asked, ask } from '../shared/asked.ts'
import type { Ledger } from '../shared/ledger.ts'
import { type PlacementRecord, readPlacementRecords } from '../shared/placement-record.ts'
import { reservedByOthers } from '../shared/reservations.ts'
import { suspensionOf } from '../shared/suspension.ts'
import { vmReads } from '../shared/vm-reads.ts'
import { isServiceOf, launchConfigName, ownershipOf } from '../shared/vm-service.ts'
import { disksElsewhere } from './disk-elsewhere.ts'
import { prepareOrderFor } from './order.ts'
import { type Load, type Placements, withClaims } from './placements.ts'
import { withClusterAddresses } from './public-addresses.ts'

type SwarmUsed =
  | 'listNodes'
  | 'getConfig'
  | 'listConfigs'
  | 'createConfig'
  | 'updateConfigLabels'
  | 'removeConfig'
  | 'getService'
  | 'listServices'
  | 'listTasks'

export interface AssetsPorts {
  readonly swarm: Pick<Swarm, SwarmUsed>
  /** Reads of a moment ago. Who gets an identity is decided by what is *not* there, which no memory can tell. */
  readonly recent: Pick<Swarm, 'listNodes' | 'getConfig' | 'getService'>
  /** As recent as that. */
  readonly placements: (signal?: AbortSignal) => Promise<Placements>
  readonly agents: Agents
  readonly declarations: Declarations
  readonly settings: AssetsSettings
  readonly random: Pick<Random, 'uuid'>
  readonly lease: Pick<DisruptionLease, 'observe' | 'apply'>
}
type LedgedPorts = Omit<AssetsPorts, 'lease'> & {
  readonly ledger: Pick<Ledger, 'mark' | 'since'>
  /** Whether this controller holds the lease, without which no order has the word that lets a disk be replaced. */
  readonly mayReplace: () => Promise<boolean>
}
type AssetsSettings = Pick<ClusterSettings, 'cluster' | 'softwareEmulation' | 'memoryOverheadMiB'>

export interface NodeSeen {
  readonly node: SwarmNode
  readonly facts: Asked<NodeFacts>
  readonly instances: Asked<readonly InstanceRecord[]>
  /** A task of the agent service is or was there: disks of an earlier Swarm may be, too. */
  readonly agentExpected: boolean
}

/** The whole cluster: gathered only when a VM has no identity, or no node that is a member. */
export interface ClusterSeen {
  readonly nodes: readonly NodeSeen[]
  /** What all other VMs take of each node, by Swarm node ID. */
  readonly loads: ReadonlyMap<string, Load>
  /** Memory that services that are no VMs reserve, by Swarm node ID. */
  readonly reserved: ReadonlyMap<string, number>
  /** Directories with disks whose identity cannot be read and that no other VM's record names. */
  readonly nameless: readonly { readonly uid: VmUid; readonly hostname: string }[]
  /** Claims of the ledger from here on are not in `loads`. */
  readonly mark: number
  /** The uid a new identity gets, if one is to be made. */
  readonly freshUid: string
}

export interface AssetsSeen {
  readonly vm: VmName
  readonly declaration: Declaration
  readonly settings: AssetsSettings
  /** The config that has the record's name, whatever is in it. */
  readonly config: SwarmConfig | undefined
  /** What it says, where it is this VM's record and still ours. */
  readonly record: PlacementRecord | undefined
  readonly service: SwarmService | undefined
  /** The record's node; undefined where it is no member, or where there is no record. */
  readonly node: SwarmNode | undefined
  readonly cluster: ClusterSeen | undefined
  /** Nodes that have the VM's disks while the record's node is down: the machine may have joined again. */
  readonly elsewhere: readonly SwarmNode[]
  readonly order: PrepareOrder | undefined
  /** How far the node is with what was ordered; undefined where nothing was. */
  readonly prepared: Asked<PrepareStatus> | undefined
  /** The manifest lets a disk be replaced, and the order does not. */
  readonly replaceWithheld: boolean
  /** Read where the plan gives up a VM or its disks. */
  readonly lease?: LeaseSeen
}

/**
 * Asking a node how far it is with a VM *is* sending it the order: the agent is level-based and the order idempotent, so this is a read for
 * everything the controller knows of. It is sent only for a VM that is declared and has a record with a node.
 */
export async function observeAssets(ports: LedgedPorts, vm: VmName, signal: AbortSignal): Promise<AssetsSeen> {
  const { swarm, settings } = ports
  const declaration = ports.declarations.get(vm)
  const { getConfig, getService } = vmReads(ports, declaration)
  const config = await getConfig(placementRecordName(vm), signal)
  const service = await getService(serviceName(vm), signal)
  const record = recordOf(vm, config, service)
  const nodes = await swarm.listNodes(signal)
  const node = nodes.find((one) => one.id === record?.node)
  const seen = {
    vm,
    declaration,
    settings,
    config,
    record,
    service,
    node,
    cluster: undefined,
    elsewhere: [],
    order: undefined,
    prepared: undefined,
    replaceWithheld: false,
  }
  if (declaration.kind !== 'present') return seen
  if (config !== undefined && record === undefined) return seen
  // Its disks go; nothing is to be made of them.
  if (record?.deletingAt !== undefined) return seen
  // An order to the node is a write too.
  if (suspensionOf(vm, declaration, record) !== undefined) return seen
  if (record === undefined || node === undefined) return { ...seen, cluster: await observeCluster(ports, vm, signal) }
  if (record.retainedAt !== undefined) return seen
  const wanted = prepareOrderFor(settings, declaration.vm, record, await applied(ports, service, record, signal))
  const replaceWithheld = wanted.replaceDisks !== undefined && !(await ports.mayReplace())
  const order = withClusterAddresses(replaceWithheld ? withoutReplacing(wanted) : wanted, nodes)
  const prepared = await ask(ports.agents.on(node.id).prepare(order, signal).catch(refusal))
  const missing = { vm, cluster: settings.cluster, uid: record.uid, node }
  const elsewhere = prepared.known ? [] : await disksElsewhere(ports.agents, nodes, missing, signal)
  return { ...seen, order, prepared, elsewhere, replaceWithheld }
}

function withoutReplacing({ replaceDisks: _withheld, ...order }: PrepareOrder): PrepareOrder {
  return order
}

/** Its content never changes, so one that was read before will do. */
async function applied(
  { recent }: Omit<AssetsPorts, 'lease'>,
  service: SwarmService | undefined,
  { uid }: PlacementRecord,
  signal: AbortSignal,
): Promise<Machine | undefined> {
  const name = service && launchConfigName(service)
  const launch = name === undefined ? undefined : await recent.getConfig(name, signal)
  return appliedMachine(service, launch === undefined ? [] : [launch], uid)
}

/** A node that understands the order and refuses it has answered; the record is kept true all the same. */
function refusal(error: unknown): PrepareStatus {
  if (!(error instanceof PortError) || (error.kind !== 'Invalid' && error.kind !== 'Denied')) throw error
  return { state: 'failed', reason: error.kind === 'Invalid' ? 'Refused' : 'Denied', message: error.message }
}

/** A service is only made once the disks are: where there is one, they were, even if the record lost the label that says so. */
function recordOf(vm: VmName, config: SwarmConfig | undefined, service: SwarmService | undefined): PlacementRecord | undefined {
  const [record] = config === undefined ? [] : readPlacementRecords([config])
  if (record?.vm !== vm) return undefined
  const owned = ownershipOf(vm, service)
  return { ...record, disksMade: record.disksMade || isServiceOf(record, owned) }
}

async function observeCluster(ports: LedgedPorts, vm: VmName, signal: AbortSignal): Promise<ClusterSeen> {
  const { swarm, recent, random } = ports
  const mark = ports.ledger.mark()
  const placements = await ports.placements(signal)
  const expected = await agentNodes(swarm, signal)
  const reserved = await reservedByOthers(swarm, signal)
  // Last, since a call may hang: which nodes may hold disks is to be known of the moment at which they are asked.
  const nodes = await recent.listNodes(signal)
  const seen = await Promise.all(nodes.map((node) => observeNode(ports, node, expected.has(node.id), signal)))
  const nameless = seen.flatMap(namelessOn).filter(({ uid }) => !placements.isClaimed(uid, vm))
  const since = ports.ledger.since(mark)
  // A record that was read already is not counted twice.
  const unread = since.claims.filter(({ uid }) => !placements.isClaimed(uid, vm))
  return {
    nodes: seen,
    loads: withClaims(placements.loadsBeside(vm), unread),
    reserved,
    nameless,
    mark: since.mark,
    freshUid: random.uuid(),
  }
}

function namelessOn({ node, instances }: NodeSeen): { readonly uid: VmUid; readonly hostname: string }[] {
  if (!instances.known) return []
  const nameless = instances.value.filter((one) => one.vm === null && one.disks.length > 0)
  return nameless.map(({ uid }) => ({ uid, hostname: node.hostname }))
}

async function observeNode(
  ports: Pick<AssetsPorts, 'agents'>,
  node: SwarmNode,
  agentExpected: boolean,
  signal: AbortSignal,
): Promise<NodeSeen> {
  const agent = ports.agents.on(node.id)
  const [facts, instances] = await Promise.all([ask(agent.facts(signal)), ask(agent.instances(signal))])
  return { node, facts, instances, agentExpected }
}

async function agentNodes(swarm: AssetsPorts['swarm'], signal: AbortSignal): Promise<Set<string>> {
  const services = await swarm.listServices(`${objectLabels.component}=agent`, signal)
  const tasks = await Promise.all(services.map((one) => swarm.listTasks({ serviceId: one.id }, signal)))
  return new Set(tasks.flat().flatMap((one) => one.nodeId ?? []))
}
