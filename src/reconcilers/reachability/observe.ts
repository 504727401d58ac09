import { nodeLabels, objectLabels } from '../../api/labels.ts'
import type { Mac } from '../../api/mac.ts'
import type { VirtualMachine } from '../../api/manifest.ts'
import { placementRecordName, serviceName, type VmName, type VmUid } from '../../api/names.ts'
import type { ProbeOutcome, ProbeRequest, VmStatus } from '../../api/wire/agent-api.ts'
import type { NicGrant } from '../../api/wire/common.ts'
import type { Agents } from '../../ports/agents.ts'
import type { Declaration, Declarations } from '../../ports/declarations.ts'
import type { ClusterSettings } from '../../ports/settings.ts'
import type { Swarm, SwarmNode, SwarmTask } from '../../ports/swarm.ts'
import { appliedMachine } from '../shared/applied.ts'
import { type Asked, ask, askFor } from '../shared/asked.ts'
import { nicsOf } from '../shared/nics.ts'
import { readPlacementRecords } from '../shared/placement-record.ts'
import { currentTask, isOfEarlierTemplate, launchConfigName, ownershipOf } from '../shared/vm-service.ts'
import { pickAddress } from './address.ts'
import { whyOfAnother } from './of-task.ts'

export interface ReachabilityPorts {
  readonly swarm: Pick<Swarm, 'listNodes' | 'listTasks'>
  /** Nothing is written on their account. */
  readonly recent: Pick<Swarm, 'getConfig' | 'getService'>
  readonly agents: Agents
  readonly declarations: Declarations
  readonly settings: Pick<ClusterSettings, 'cluster'>
}

/** What another node found out. */
interface Probed {
  readonly nodeId: string
  readonly hostname: string
  readonly requests: { readonly arp: ProbeRequest; readonly readiness: ProbeRequest | undefined }
  readonly arp: ProbeOutcome
  /** Undefined where the manifest asks for none, or where ARP already said no. */
  readonly readiness: ProbeOutcome | undefined
}

type Probing =
  /** There was no address to ask for. */
  | { readonly kind: 'notYet' }
  /** No other node has the bridge. */
  | { readonly kind: 'nobody' }
  | { readonly kind: 'silent'; readonly message: string }
  | { readonly kind: 'done'; readonly probed: Probed }

export interface ReachabilitySeen {
  readonly vm: VmName
  readonly declaration: Declaration
  readonly uid: VmUid | undefined
  readonly task: SwarmTask | undefined
  /** The task runs what the service's template was before. */
  readonly isPredecessor: boolean
  /** Where the task is, or else where the VM is placed. */
  readonly node: SwarmNode | undefined
  readonly nic: NicGrant | undefined
  /** Undefined inside where that node's agent knows no such VM. */
  readonly status: Asked<VmStatus | undefined> | undefined
  readonly probing: Probing
}

/** Probing is reading: it changes nothing but neighbours' ARP caches. */
export async function observeReachability(ports: ReachabilityPorts, vm: VmName, signal: AbortSignal): Promise<ReachabilitySeen> {
  const { declarations, settings } = ports
  const declaration = declarations.get(vm)
  const nothing = {
    vm,
    declaration,
    uid: undefined,
    task: undefined,
    isPredecessor: false,
    node: undefined,
    nic: undefined,
    status: undefined,
  }
  if (declaration.kind !== 'present') return { ...nothing, probing: { kind: 'notYet' } }
  const placed = await observePlace(ports, vm, signal)
  const { uid, node, task, isPredecessor } = placed
  // An edit of a network waits for a restart: until then the guest has what it was started with.
  const [applied] = placed.applied?.nics ?? nicsOf(settings.cluster, declaration.vm)
  if (uid === undefined || node === undefined)
    return { ...nothing, uid, node, task, isPredecessor, nic: applied, probing: { kind: 'notYet' } }
  const status = await askFor(ports.agents.on(node.id).vm(uid, signal))
  if (declaration.vm.spec.runStrategy === 'Halted')
    return { ...nothing, uid, node, task, isPredecessor, nic: applied, status, probing: { kind: 'notYet' } }
  const nic = runningNic(applied, status)
  const probing = await probeFrom(
    ports,
    { node, nic, vm: declaration.vm, task, status: status.known ? status.value : undefined },
    placed.nodes,
    signal,
  )
  return { vm, declaration, uid, task, isPredecessor, node, nic, status, probing }
}

/** What the broker gave away is what the guest has. */
function runningNic(applied: NicGrant | undefined, status: Asked<VmStatus | undefined>): NicGrant | undefined {
  const lease = status.known ? status.value?.lease : undefined
  const held = lease?.held === true ? lease.nics.find((one) => one.name === applied?.name) : undefined
  return applied === undefined || held === undefined ? applied : { ...applied, bridge: held.bridge, mac: held.mac }
}

async function observePlace({ swarm, recent }: ReachabilityPorts, vm: VmName, signal: AbortSignal) {
  const config = await recent.getConfig(placementRecordName(vm), signal)
  const [record] = config === undefined ? [] : readPlacementRecords([config])
  const owned = ownershipOf(vm, await recent.getService(serviceName(vm), signal))
  const mine = owned.kind === 'ours' || owned.kind === 'lost' ? owned.service : undefined
  const task = mine === undefined ? undefined : currentTask(await swarm.listTasks({ serviceId: mine.id }, signal))
  const nodes = await swarm.listNodes(signal)
  const uid = owned.kind === 'ours' ? owned.uid : (mine?.labels[objectLabels.uid] ?? record?.uid)
  const isPredecessor = mine !== undefined && task !== undefined && isOfEarlierTemplate(task, mine)
  const launchName = mine && launchConfigName(mine)
  const launch = launchName === undefined ? undefined : await recent.getConfig(launchName, signal)
  const applied = uid === undefined || launch === undefined ? undefined : appliedMachine(mine, [launch], uid)
  return { uid, task, isPredecessor, nodes, applied, node: nodes.find((one) => one.id === (task?.nodeId ?? record?.node)) }
}

interface Guest {
  readonly node: SwarmNode
  readonly nic: NicGrant | undefined
  readonly vm: VirtualMachine
  readonly task: SwarmTask | undefined
  readonly status: VmStatus | undefined
}

async function probeFrom(ports: ReachabilityPorts, guest: Guest, nodes: readonly SwarmNode[], signal: AbortSignal): Promise<Probing> {
  const { nic, status, task } = guest
  const address = nic === undefined || status === undefined ? undefined : pickAddress(status.sightings, nic.mac)
  // An address outlives its guest in what was heard; nobody is asked for a guest that does not run.
  if (nic === undefined || address === undefined || status?.runner?.phase !== 'Running') return { kind: 'notYet' }
  if (task !== undefined && whyOfAnother(task, status) !== undefined) return { kind: 'notYet' }
  const probers = probersFor(guest.node, nic.bridge, nodes)
  if (probers.length === 0) return { kind: 'nobody' }
  const silent: string[] = []
  for (const prober of probers) {
    const probed = await ask(probe(ports, prober, { bridge: nic.bridge, mac: nic.mac, ip: address.ip, vm: guest.vm }, signal))
    if (probed.known) return { kind: 'done', probed: probed.value }
    silent.push(`${prober.hostname}: ${probed.message}`)
  }
  return { kind: 'silent', message: silent.join('; ') }
}

/** The other nodes on the same bridge, always in the same order, so that a VM is looked at from the same place. */
function probersFor(node: SwarmNode, bridge: string, nodes: readonly SwarmNode[]): SwarmNode[] {
  // A paused node takes no new task, but its agent runs on and can ask; drain stops the agent.
  const others = nodes.filter((one) => one.id !== node.id && one.state === 'ready' && one.availability !== 'drain')
  return others.filter((one) => one.labels[nodeLabels.bridge(bridge)] === 'true').toSorted((a, b) => (a.hostname < b.hostname ? -1 : 1))
}

/** An answer on a LAN takes microseconds; a guest that boots under emulation may take some hundred milliseconds. */
const arpTimeoutMs = 1_000
const readinessTimeoutMs = 2_000

interface ProbeTarget {
  readonly bridge: string
  readonly mac: Mac
  readonly ip: string
  readonly vm: VirtualMachine
}

async function probe(ports: ReachabilityPorts, prober: SwarmNode, target: ProbeTarget, signal: AbortSignal): Promise<Probed> {
  const agent = ports.agents.on(prober.id)
  const { bridge, ip, mac } = target
  const requests = {
    arp: { version: 1, kind: 'arp', bridge, ip, mac, timeoutMs: arpTimeoutMs },
    readiness: readinessRequest(target),
  } as const
  const arp = await agent.probe(requests.arp, signal)
  const reached = arp.outcome === 'reached' && arp.mac === mac
  const readiness = reached && requests.readiness !== undefined ? await agent.probe(requests.readiness, signal) : undefined
  return { nodeId: prober.id, hostname: prober.hostname, requests, arp, readiness }
}

function readinessRequest({ vm, bridge, ip }: ProbeTarget): ProbeRequest | undefined {
  const { readiness } = vm.spec
  if (readiness === undefined) return undefined
  const common = { version: 1, bridge, ip, timeoutMs: readinessTimeoutMs } as const
  return 'tcp' in readiness ? { ...common, kind: 'tcp', port: readiness.tcp } : { ...common, kind: 'ping' }
}
