import { nodeLabels } from '../../api/labels.ts'
import type { Mac } from '../../api/mac.ts'
import type { VirtualMachine } from '../../api/manifest.ts'
import { attachmentOf, parentOf } from '../../api/nic-attachment.ts'
import type { GuestAgentProbe, GuestPortProbe, LanProbe, NodePortProbe, ProbeOutcome, VmStatus } from '../../api/wire/agent-api.ts'
import type { NicGrant } from '../../api/wire/common.ts'
import type { Agents } from '../../ports/agents.ts'
import type { SwarmNode, SwarmTask } from '../../ports/swarm.ts'
import { answerOf } from '../shared/answers.ts'
import { type ExpectedAddress, pickAddress } from './address.ts'
import { whyOfAnother } from './of-task.ts'
import type { NodeId, VmUid } from '../../api/names.ts'

/** The results of the probes from another node. */
export interface Probed {
  readonly nodeId: NodeId
  readonly hostname: string
  readonly requests: { readonly arp: LanProbe; readonly readiness: LanProbe | GuestAgentProbe | undefined }
  /** The VM's own node, if the guest is asked through its agent. Otherwise the same as above. */
  readonly readinessFrom: Pick<SwarmNode, 'id' | 'hostname'>
  readonly arp: ProbeOutcome
  /** Undefined if the manifest has no readiness probe, or if ARP already failed. */
  readonly readiness: ProbeOutcome | undefined
  readonly verdict: Verdict
}

/** In ascending order of significance: the last one decides. */
const verdicts = ['unknown', 'unreached', 'readinessUnknown', 'notReady', 'reached', 'takenByAnother'] as const
type Verdict = (typeof verdicts)[number]

/** Answered by the VM's own runner. */
type OwnNodeProbe = GuestPortProbe | GuestAgentProbe

/** The answer of one agent about a VM behind NAT. */
export interface AskedPort<Request extends OwnNodeProbe | NodePortProbe = OwnNodeProbe | NodePortProbe> {
  readonly nodeId: NodeId
  readonly hostname: string
  readonly request: Request
  readonly outcome: ProbeOutcome
}

/** The port that the VM's node publishes, as another node found it. */
export type PublishedProbe =
  | { readonly kind: 'none' }
  | { readonly kind: 'nobody' }
  /** Docker reports no IPv4 address of the VM's node. */
  | { readonly kind: 'noAddress' }
  | { readonly kind: 'silent'; readonly message: string }
  | { readonly kind: 'asked'; readonly asked: AskedPort<NodePortProbe> }

export type Probing =
  /** There is no address to probe. */
  | { readonly kind: 'notYet' }
  /** Other nodes probe without a VLAN tag, so they cannot reach a guest in a VLAN. */
  | { readonly kind: 'vlan'; readonly vlan: number }
  /** No other node has the bridge. */
  | { readonly kind: 'nobody' }
  | { readonly kind: 'silent'; readonly message: string }
  /** The primary NIC is behind NAT. */
  | { readonly kind: 'behindNat'; readonly published: PublishedProbe; readonly readiness: AskedPort | undefined }
  /** `others` were asked too but do not decide. */
  | { readonly kind: 'done'; readonly probed: Probed; readonly others: readonly Probed[] }

interface Guest {
  readonly node: SwarmNode
  readonly nic: NicGrant | undefined
  readonly expected: ReadonlyMap<string, ExpectedAddress>
  readonly vm: VirtualMachine
  readonly task: SwarmTask | undefined
  readonly status: VmStatus | undefined
}

/** A node that cannot reach the guest may itself be cut off from the LAN, so a second one is asked. A third would not change the remedy. */
const enoughDenials = 2

export async function probeFrom(agents: Agents, guest: Guest, nodes: readonly SwarmNode[], signal: AbortSignal): Promise<Probing> {
  const { nic, status, task } = guest
  const ip =
    nic === undefined || status === undefined ? undefined : (pickAddress(status.sightings, nic.mac)?.ip ?? staticAddress(guest, nic))
  // A seen address outlives its guest, so only a running guest is probed.
  if (nic === undefined || ip === undefined || status?.runner?.phase !== 'Running') return { kind: 'notYet' }
  if (task !== undefined && whyOfAnother(task, status) !== undefined) return { kind: 'notYet' }
  const attachment = attachmentOf(nic)
  if (attachment.kind === 'bridge' && attachment.vlan !== undefined) return { kind: 'vlan', vlan: attachment.vlan }
  const probers = probersFor(guest.node, nic, nodes)
  if (probers.length === 0) return { kind: 'nobody' }
  const target = { bridge: parentOf(nic), mac: nic.mac, ip, vm: guest.vm, uid: status.uid, node: guest.node }
  const silent: string[] = []
  const asked: Probed[] = []
  for (const prober of probers) {
    if (isSettled(asked)) break
    const probed = await answerOf(probe(agents, prober, target, signal))
    if (probed.known) asked.push(probed.value)
    else silent.push(`${prober.hostname}: ${probed.message}`)
  }
  return judged(asked, silent)
}

/** A guest without DHCP may send nothing until it is asked. Its answer is the packet from which the address is learned. */
function staticAddress({ expected }: Guest, { name }: NicGrant): string | undefined {
  const found = expected.get(name)
  return found?.from === 'ipv4' ? found.ip : undefined
}

function isSettled(asked: readonly Probed[]): boolean {
  const denials = asked.filter(({ verdict }) => verdict === 'unreached' || verdict === 'notReady')
  return denials.length >= enoughDenials || asked.some(({ verdict }) => verdict === 'reached' || verdict === 'takenByAnother')
}

function judged(asked: readonly Probed[], silent: readonly string[]): Probing {
  const [probed, ...others] = asked.toSorted((a, b) => verdicts.indexOf(b.verdict) - verdicts.indexOf(a.verdict))
  return probed === undefined ? { kind: 'silent', message: silent.join('; ') } : { kind: 'done', probed, others }
}

/** Nodes that did not reach the guest or its service although another one did: their link to the LAN is broken. */
export function dissenters(probing: Probing): readonly Probed[] {
  if (probing.kind !== 'done') return []
  const { probed, others } = probing
  const reached = probed.arp.outcome === 'reached'
  return others.filter(({ verdict }) => (verdict === 'unreached' && reached) || (verdict === 'notReady' && probed.verdict === 'reached'))
}

/** The other nodes with the same bridge or device, in a stable order, so that a VM is always probed from the same node. */
function probersFor(node: SwarmNode, nic: NicGrant, nodes: readonly SwarmNode[]): SwarmNode[] {
  const label = nic.direct === undefined ? nodeLabels.bridge(parentOf(nic)) : nodeLabels.device(parentOf(nic))
  return otherNodes(node, nodes).filter((one) => one.labels[label] === 'true')
}

export function otherNodes(node: SwarmNode, nodes: readonly SwarmNode[]): SwarmNode[] {
  // The agent on a paused node still runs and can probe; drain stops the agent.
  const others = nodes.filter((one) => one.id !== node.id && one.state === 'ready' && one.availability !== 'drain')
  return others.toSorted((a, b) => (a.hostname < b.hostname ? -1 : 1))
}

/** An answer on a LAN takes microseconds, but a guest that boots under emulation may need some hundred milliseconds. */
const arpTimeoutMs = 1_000
const readinessTimeoutMs = 2_000

interface ProbeTarget {
  readonly bridge: string
  readonly mac: Mac
  readonly ip: string
  readonly vm: VirtualMachine
  readonly uid: VmUid
  readonly node: SwarmNode
}

async function probe(agents: Agents, prober: SwarmNode, target: ProbeTarget, signal: AbortSignal): Promise<Probed> {
  const agent = agents.on(prober.id)
  const readinessFrom = guestAgentRequest(target.vm, target.uid) === undefined ? prober : target.node
  const { bridge, ip, mac } = target
  const requests = {
    arp: { version: 1, kind: 'arp', bridge, ip, mac, timeoutMs: arpTimeoutMs },
    readiness: readinessRequest(target),
  } as const
  const arp = await agent.probe(requests.arp, signal)
  const reached = arp.outcome === 'reached' && arp.mac === mac
  const readiness =
    reached && requests.readiness !== undefined ? await agents.on(readinessFrom.id).probe(requests.readiness, signal) : undefined
  return { nodeId: prober.id, hostname: prober.hostname, requests, readinessFrom, arp, readiness, verdict: verdictOf(arp, readiness, mac) }
}

function verdictOf(arp: ProbeOutcome, readiness: ProbeOutcome | undefined, mac: Mac): Verdict {
  if (arp.outcome !== 'reached') return arp.outcome
  if (arp.mac !== mac) return 'takenByAnother'
  if (readiness === undefined || readiness.outcome === 'reached') return 'reached'
  return readiness.outcome === 'unreached' ? 'notReady' : 'readinessUnknown'
}

function readinessRequest({ vm, uid, bridge, ip }: ProbeTarget): LanProbe | GuestAgentProbe | undefined {
  const { readiness } = vm.spec
  if (readiness === undefined) return undefined
  const asked = guestAgentRequest(vm, uid)
  if (asked !== undefined) return asked
  const common = { version: 1, bridge, ip, timeoutMs: readinessTimeoutMs } as const
  if ('tcp' in readiness) return { ...common, kind: 'tcp', port: readiness.tcp }
  if ('http' in readiness) return { ...common, kind: 'http', ...readiness.http }
  return 'ssh' in readiness ? { ...common, kind: 'ssh', port: readiness.ssh } : { ...common, kind: 'ping' }
}

/** Only the VM's own runner can talk to the agent in its guest. Undefined for every other probe. */
export function guestAgentRequest({ spec: { readiness } }: VirtualMachine, uid: VmUid): GuestAgentProbe | undefined {
  if (readiness === undefined) return undefined
  const common = { version: 1, uid, timeoutMs: readinessTimeoutMs } as const
  if ('guestAgent' in readiness) return { ...common, kind: 'guestAgent' }
  return 'exec' in readiness ? { ...common, kind: 'exec', command: readiness.exec.command } : undefined
}
