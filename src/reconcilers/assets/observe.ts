import { objectLabels } from '../../api/labels.ts'
import type { VirtualMachine } from '../../api/manifest.ts'
import { newUid, placementRecordName, serviceName, type VmName, type VmUid } from '../../api/names.ts'
import type { InstanceRecord, NodeFacts, PrepareOrder, PrepareStatus } from '../../api/wire/agent-api.ts'
import { type MarkedOrder, marked } from '../../api/wire/unchanged.ts'
import type { Agent, Agents } from '../../ports/agents.ts'
import type { Declaration, Declarations } from '../../ports/declarations.ts'
import type { Random } from '../../ports/random.ts'
import type { ClusterSettings } from '../../ports/settings.ts'
import type { Swarm, SwarmConfig, SwarmNode, SwarmService } from '../../ports/swarm.ts'
import { appliedMachine, type Machine } from '../shared/applied.ts'
import type { DisruptionLease, LeaseSeen } from '../shared/disruption-lease.ts'
import { type Answer, answerOf } from '../shared/answers.ts'
import type { AssumedPlacements } from '../shared/assumed-placements.ts'
import { type PlacementRecord, readPlacementRecords } from '../shared/placement-record.ts'
import { fallbackOn, rendered } from '../shared/rendered-networks.ts'
import { reservedByOthers, vmReads } from '../shared/swarm-reads.ts'
import type { suspensionOf } from '../shared/suspension.ts'
import { isServiceOf, launchConfigName, ownershipOf } from '../shared/vm-service.ts'
import { disksElsewhere } from './disk-elsewhere.ts'
import { runNotes, runWish } from '../shared/run-wish.ts'
import { prepareOrderFor } from './order.ts'
import type { AskProgress } from './order-answers.ts'
import { type Load, type Placements, withClaims } from './placements.ts'
import { observeSshPort } from './ssh-port.ts'
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
  /** Cached reads. A new identity is decided on absences, which must be read from `swarm`. */
  readonly recent: Pick<Swarm, 'listNodes' | 'getConfig' | 'getService'>
  /** Cached too. */
  readonly placements: (signal?: AbortSignal) => Promise<Placements>
  readonly agents: Agents
  readonly declarations: Declarations
  readonly settings: AssetsSettings
  readonly random: Pick<Random, 'uuid'>
  readonly lease: Pick<DisruptionLease, 'observe' | 'apply'>
}
/** A dry run observes a suspended VM as if it were resumed. */
type ObservingPorts = AssetsPorts & {
  readonly assumed: Pick<AssumedPlacements, 'mark' | 'since'>
  readonly askProgress: AskProgress
  readonly suspensionOf: typeof suspensionOf
}
type AssetsSettings = Pick<ClusterSettings, 'cluster' | 'softwareEmulation' | 'memoryOverheadMiB' | 'networkMode'>

export interface NodeSeen {
  readonly node: SwarmNode
  readonly facts: Answer<NodeFacts>
  readonly instances: Answer<readonly InstanceRecord[]>
  /** The agent service has or had a task there, so the node may have disks, even of an earlier Swarm. */
  readonly agentExpected: boolean
}

/** The whole cluster: only observed if a VM has no identity or no member node. */
export interface ClusterSeen {
  readonly nodes: readonly NodeSeen[]
  /** Load of all other VMs, by Swarm node ID. */
  readonly loads: ReadonlyMap<string, Load>
  /** Memory that other services reserve, by Swarm node ID. */
  readonly reserved: ReadonlyMap<string, number>
  /** Directories with disks that have no readable identity and are in no other VM's record. */
  readonly nameless: readonly { readonly uid: VmUid; readonly hostname: string }[]
  /** Assumed placements from this mark on are not in `loads`. */
  readonly mark: number
  /** The uid for a new identity, if one is needed. */
  readonly freshUid: VmUid
}

export interface AssetsSeen {
  readonly vm: VmName
  readonly declaration: Declaration
  readonly settings: AssetsSettings
  /** The config with the record's name, with any content. */
  readonly config: SwarmConfig | undefined
  /** The parsed config, if it is this VM's record and still ours. */
  readonly record: PlacementRecord | undefined
  readonly service: SwarmService | undefined
  /** The record's node; undefined if it is not a member or there is no record. */
  readonly node: SwarmNode | undefined
  readonly cluster: ClusterSeen | undefined
  /** Nodes with the VM's disks while the record's node is down: the machine may have rejoined. */
  readonly elsewhere: readonly SwarmNode[]
  readonly order: MarkedOrder | undefined
  /** The node's progress on the order; undefined without an order, or if the node does not have it. */
  readonly prepared: Answer<PrepareStatus> | undefined
  /** As written, before networks are put behind NAT. */
  readonly manifest: VirtualMachine | undefined
  /** Networks that fall back to NAT on the VM's node. */
  readonly fallback: readonly string[]
  /** The port of the node for `ssh: auto`. */
  readonly sshPort: number | undefined
  /** The manifest allows a disk to be replaced, but the order does not. */
  readonly replaceBlocked: boolean
  /** Only read if the plan ends the VM or loses disks. */
  readonly lease?: LeaseSeen
}

/** Asks the node for its progress only for a declared VM with a record and a node. */
export async function observeAssets(ports: ObservingPorts, vm: VmName, signal: AbortSignal): Promise<AssetsSeen> {
  const { swarm, settings } = ports
  const declared = ports.declarations.get(vm)
  const { getConfig, getService } = vmReads(ports, declared)
  const config = await getConfig(placementRecordName(vm), signal)
  const service = await getService(serviceName(vm), signal)
  const record = recordOf(vm, config, service)
  const declaration = rendered(declared, settings, record)
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
    manifest: declared.kind === 'present' ? declared.vm : undefined,
    fallback: record?.fallback ?? [],
    sshPort: undefined,
    replaceBlocked: false,
  }
  if (declaration.kind !== 'present') return seen
  if (config !== undefined && record === undefined) return seen
  // Its disks are being deleted, so nothing must be prepared.
  if (record?.deletingAt !== undefined) return seen
  // The agent goes on with an order when it is asked, which counts as a write.
  if (ports.suspensionOf(vm, declaration, record) !== undefined) return seen
  if (record === undefined || node === undefined) return { ...seen, cluster: await observeCluster(ports, vm, signal) }
  if (record.retainedAt !== undefined) return seen
  const wish = runWish(declaration.vm, runNotes(record.config.labels, service))
  const wanted = prepareOrderFor(settings, declaration.vm, record, await applied(ports, service, record, signal), wish)
  // Only the holder of the lease allows a disk to be replaced.
  const replaceBlocked = wanted.replaceDisks !== undefined && (await ports.lease.observe(signal)).kind !== 'ours'
  const order = marked(withClusterAddresses(replaceBlocked ? withoutReplacing(wanted) : wanted, nodes))
  const prepared = await progressOf(ports, ports.agents.on(node.id), order, signal)
  const missing = { vm, cluster: settings.cluster, uid: record.uid, node }
  const elsewhere = prepared?.known === false ? await disksElsewhere(ports.agents, nodes, missing, signal) : []
  const sshPort = await observeSshPort(ports, { vm: declaration.vm, record }, signal)
  const fallback =
    declared.kind === 'present' && settings.networkMode !== 'user' ? fallbackOn(declared.vm, record, node, service) : record.fallback
  return { ...seen, fallback, order, prepared, elsewhere, sshPort, replaceBlocked }
}

function withoutReplacing({ replaceDisks: _blocked, ...order }: PrepareOrder): PrepareOrder {
  return order
}

async function progressOf(
  ports: Pick<ObservingPorts, 'askProgress'>,
  agent: Agent,
  order: MarkedOrder,
  signal: AbortSignal,
): Promise<Answer<PrepareStatus> | undefined> {
  const progress = await ports.askProgress(agent, order, signal)
  if (!progress.known) return progress
  const { value } = progress
  return value.state === 'none' ? undefined : { known: true, value }
}

/** A launch config never changes, so a cached read is good enough. */
async function applied(
  { recent }: Pick<AssetsPorts, 'recent'>,
  service: SwarmService | undefined,
  { uid }: PlacementRecord,
  signal: AbortSignal,
): Promise<Machine | undefined> {
  const name = service && launchConfigName(service)
  const launch = name === undefined ? undefined : await recent.getConfig(name, signal)
  return appliedMachine(service, launch === undefined ? [] : [launch], uid)
}

/** A service is only created once the disks exist, so a service proves them even if the record lost its label. */
function recordOf(vm: VmName, config: SwarmConfig | undefined, service: SwarmService | undefined): PlacementRecord | undefined {
  const [record] = config === undefined ? [] : readPlacementRecords([config])
  if (record?.vm !== vm) return undefined
  const owned = ownershipOf(vm, service)
  return { ...record, disksMade: record.disksMade || isServiceOf(record, owned) }
}

async function observeCluster(ports: ObservingPorts, vm: VmName, signal: AbortSignal): Promise<ClusterSeen> {
  const { swarm, recent, random } = ports
  const mark = ports.assumed.mark()
  const placements = await ports.placements(signal)
  const expected = await agentNodes(swarm, signal)
  const reserved = await reservedByOthers(swarm, signal)
  // List the nodes last: the calls above may hang, and the list must be current when the nodes are asked.
  const nodes = await recent.listNodes(signal)
  const seen = await Promise.all(nodes.map((node) => observeNode(ports, node, expected.has(node.id), signal)))
  const nameless = seen.flatMap(namelessOn).filter(({ uid }) => !placements.isClaimed(uid, vm))
  const since = ports.assumed.since(mark)
  // Do not count a placement twice if its record was read already.
  const unread = since.claims.filter(({ uid }) => !placements.isClaimed(uid, vm))
  return {
    nodes: seen,
    loads: withClaims(placements.loadsBeside(vm), unread),
    reserved,
    nameless,
    mark: since.mark,
    freshUid: newUid(random),
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
  const [facts, instances] = await Promise.all([answerOf(agent.facts(signal)), answerOf(agent.instances(signal))])
  return { node, facts, instances, agentExpected }
}

async function agentNodes(swarm: AssetsPorts['swarm'], signal: AbortSignal): Promise<Set<string>> {
  const services = await swarm.listServices(`${objectLabels.component}=agent`, signal)
  const tasks = await Promise.all(services.map((one) => swarm.listTasks({ serviceId: one.id }, signal)))
  return new Set(tasks.flat().flatMap((one) => one.nodeId ?? []))
}
