import { byText } from '../../api/order.ts'
import { whyNotDirect } from '../../api/direct-nics.ts'
import { mtuTooSmall } from '../../api/nic-mtu.ts'
import { type AttachedNic, featuresNeeded, parentOf, whyNoVlan } from '../../api/nic-attachment.ts'
import { noUserNetwork } from '../../api/user-network.ts'
import { formatBytes } from '../../api/quantity.ts'
import type { NodeFeature } from '../../api/node-features.ts'
import { maxGrants } from '../../api/wire/broker-admin.ts'
import type { AcceleratorChoice, AcceleratorInUse, NicGrant } from '../../api/wire/common.ts'
import type { NodeFacts } from '../../api/wire/agent-api.ts'
import type { SwarmNode } from '../../ports/swarm.ts'
import type { Answer } from '../shared/answers.ts'
import type { Room } from '../shared/assumed-placements.ts'
import type { NodeId } from '../../api/names.ts'

type PlacedNic = AttachedNic & Pick<NicGrant, 'name' | 'mtu'>

export interface PlaceRequest {
  readonly accelerator: AcceleratorChoice
  /** The cluster settings allow TCG. */
  readonly softwareEmulation: boolean
  readonly nics: readonly PlacedNic[]
  readonly features: readonly NodeFeature[]
  /** CPUs that it may use; 0 without a limit. */
  readonly cpuLimit: number
  /** It has a NIC behind NAT. */
  readonly userNetwork?: boolean
  /** Guest and overhead. */
  readonly memoryBytes: number
  readonly diskBytes: number
}

export interface Candidate {
  readonly node: Pick<SwarmNode, 'id' | 'hostname' | 'state' | 'availability' | 'memoryBytes' | 'nanoCpus'>
  readonly facts: Answer<NodeFacts>
  readonly placedVms: number
  /** Memory of all VMs placed there, running or not. */
  readonly committedBytes: number
  /** Memory that other services reserve there. */
  readonly reservedBytes: number
  /** How much existing disks may still grow, plus the disks that are not created yet. */
  readonly promisedDiskBytes: number
}

interface Refusal {
  readonly hostname: string
  readonly reason: string
  readonly message: string
}

export type Choice =
  /** `spare` is the free capacity after this VM. */
  | {
      readonly kind: 'placed'
      readonly nodeId: NodeId
      readonly spare: Room
      readonly message: string
      readonly refusals: readonly Refusal[]
    }
  | { readonly kind: 'refused'; readonly reason: string; readonly message: string; readonly refusals: readonly Refusal[] }

/** Returns why a node cannot take the VM; undefined if it can. */
type Check = (request: PlaceRequest, candidate: Candidate) => Omit<Refusal, 'hostname'> | undefined

const checks: readonly Check[] = [
  nodeUp,
  nodeActive,
  agentAnswers,
  brokerThere,
  accelerated,
  bridged,
  nicsSupported,
  vlanFiltered,
  directAllowed,
  behindNat,
  hasFeatures,
  slotFree,
  enoughCpus,
  roomInMemory,
  roomOnDisk,
]

/**
 * Picks the node for a new VM. A node is refused by the first check that it fails. Among the others, it prefers KVM, then the fewest VMs, then
 * the most free memory, then the name. Deterministic.
 */
export function place(request: PlaceRequest, candidates: readonly Candidate[]): Choice {
  const judged = candidates.map((candidate) => ({ candidate, refusal: refusalOf(request, candidate) }))
  const refusals = judged.flatMap(({ refusal }) => refusal ?? []).toSorted((a, b) => byText(a.hostname, b.hostname))
  const fit = judged.filter(({ refusal }) => refusal === undefined).map(({ candidate }) => candidate)
  const [best, second] = fit.toSorted((a, b) => compare(request, a, b))
  if (best === undefined) return refused(refusals)
  const free = formatBytes(freeMemory(best))
  const message = `on ${best.node.hostname}: ${best.placedVms} other VMs, ${free} of memory free; ${fit.length} of ${candidates.length} nodes fit`
  return { kind: 'placed', nodeId: best.node.id, spare: spareOf(request, best, second), message, refusals }
}

function refusalOf(request: PlaceRequest, candidate: Candidate): Refusal | undefined {
  for (const check of checks) {
    const refusal = check(request, candidate)
    if (refusal !== undefined) return { hostname: candidate.node.hostname, ...refusal }
  }
  return undefined
}

function refused(refusals: readonly Refusal[]): Choice {
  const reasons = new Set(refusals.map((one) => one.reason))
  const [only] = reasons
  const reason = reasons.size === 1 && only !== undefined ? only : 'NoNodeFits'
  const each = refusals.map((one) => `${one.hostname}: ${one.message}`)
  return {
    kind: 'refused',
    reason,
    message: `no node fits: ${each.length > 0 ? each.join('; ') : 'the Swarm has no nodes'}`,
    refusals,
  }
}

function freeMemory({ node, committedBytes, reservedBytes }: Candidate): number {
  return node.memoryBytes - committedBytes - reservedBytes
}

function compare(request: PlaceRequest, a: Candidate, b: Candidate): number {
  return (
    rank(request, a) - rank(request, b) ||
    a.placedVms - b.placedVms ||
    freeMemory(b) - freeMemory(a) ||
    byText(a.node.hostname, b.node.hostname) ||
    byText(a.node.id, b.node.id)
  )
}

function rank(request: PlaceRequest, { facts }: Candidate): number {
  return facts.known && usableAccelerator(request, facts.value) === 'kvm' ? 0 : 1
}

function nodeUp(_request: PlaceRequest, { node }: Candidate): ReturnType<Check> {
  return node.state === 'ready' ? undefined : { reason: 'NodeDown', message: `the node is ${node.state}` }
}

function nodeActive(_request: PlaceRequest, { node }: Candidate): ReturnType<Check> {
  switch (node.availability) {
    case 'active':
      return undefined
    case 'drain':
      return { reason: 'NodeDrained', message: 'the node is drained' }
    case 'pause':
      return { reason: 'NodePaused', message: 'the node is paused' }
  }
}

function agentAnswers(_request: PlaceRequest, { facts }: Candidate): ReturnType<Check> {
  return facts.known ? undefined : { reason: 'AgentUnreachable', message: `its agent is not responding (${facts.message})` }
}

function brokerThere(_request: PlaceRequest, { facts }: Candidate): ReturnType<Check> {
  if (!facts.known || facts.value.broker !== null) return undefined
  return { reason: 'NotCapable', message: `its broker is not responding (${facts.value.brokerMessage})` }
}

function accelerated(request: PlaceRequest, { facts }: Candidate): ReturnType<Check> {
  if (!facts.known || usableAccelerator(request, facts.value) !== undefined) return undefined
  const { kvm, tcg } = facts.value
  if (kvm.state === 'pending' && request.accelerator !== 'tcg') return { reason: 'ProbePending', message: 'KVM is still being probed' }
  const noKvm = `accelerator kvm is unusable (${kvm.reason}: ${kvm.message})`
  const noTcg = request.softwareEmulation
    ? `accelerator tcg does not work (${tcg.message})`
    : 'softwareEmulation is not allowed in this cluster'
  const messages = { kvm: noKvm, tcg: noTcg, auto: `${noKvm} and ${noTcg}` }
  return { reason: 'AcceleratorMissing', message: messages[request.accelerator] }
}

/** The accelerator that the VM would get on the node; undefined if there is none or the probe has not ended. */
function usableAccelerator({ accelerator, softwareEmulation }: PlaceRequest, { kvm, tcg }: NodeFacts): AcceleratorInUse | undefined {
  if (accelerator !== 'tcg' && kvm.state === 'works') return 'kvm'
  if (accelerator === 'kvm' || (accelerator === 'auto' && kvm.state === 'pending')) return undefined
  return tcg.works && softwareEmulation ? 'tcg' : undefined
}

function bridged({ nics }: PlaceRequest, { facts }: Candidate): ReturnType<Check> {
  if (!facts.known) return undefined
  const onBridges = nics.filter(({ direct }) => direct === undefined)
  const up = (facts.value.broker?.bridges ?? []).filter((one) => one.up)
  const bridgeOf = (nic: PlacedNic) => up.find((one) => one.name === parentOf(nic))
  const missing = new Set(onBridges.filter((nic) => bridgeOf(nic) === undefined).map(parentOf))
  const small = onBridges.find((nic) => (bridgeOf(nic)?.mtu ?? 0) < (nic.mtu ?? 0))
  if (missing.size === 0)
    return small && { reason: 'BridgeMtuTooSmall', message: mtuTooSmall(small, parentOf(small), bridgeOf(small)?.mtu) }
  const there = up.length > 0 ? `it has ${up.map((one) => one.name).join(', ')}` : 'it has none'
  return { reason: 'BridgeMissing', message: `bridge ${[...missing].join(', ')} is missing, down or not allowed (${there})` }
}

/** An agent of release 0.1 reports none, and its runner starts every VM with BIOS. */
function hasFeatures({ features }: PlaceRequest, { facts }: Candidate): ReturnType<Check> {
  if (!facts.known) return undefined
  const missing = features.filter((feature) => !(facts.value.features ?? []).includes(feature))
  if (missing.length === 0) return undefined
  const message = `the image of its agent (release ${facts.value.release}) has no ${missing.map((one) => featureNames[one]).join(', ')}; update swarmvirt on the node`
  return { reason: 'FirmwareMissing', message }
}

const featureNames: Readonly<Record<NodeFeature, string>> = {
  uefi: 'UEFI',
  secureBoot: 'secure boot',
  tpm: 'TPM',
  kernel: 'direct kernel boot',
}

/** Docker refuses a container with a larger limit. */
function enoughCpus({ cpuLimit }: PlaceRequest, { node }: Candidate): ReturnType<Check> {
  const cpus = node.nanoCpus / 1_000_000_000
  return cpuLimit <= cpus ? undefined : { reason: 'TooFewCpus', message: `it has ${cpus} CPUs, and resources.cpuLimit is ${cpuLimit}` }
}

function directAllowed({ nics }: PlaceRequest, { facts }: Candidate): ReturnType<Check> {
  const devices = (facts.known ? facts.value.broker?.direct : undefined) ?? []
  if (!facts.known) return undefined
  for (const nic of nics.filter(({ direct }) => direct !== undefined)) {
    const refusal = whyNotDirect(nic, devices)
    if (refusal !== undefined) return refusal
  }
  return undefined
}

/** A broker of an earlier release must not run a NIC with less than its manifest says. */
function nicsSupported({ nics }: PlaceRequest, { facts }: Candidate): ReturnType<Check> {
  const supported: readonly string[] = (facts.known ? facts.value.broker?.nicFeatures : undefined) ?? []
  const lacking = [...featuresNeeded(nics)].filter((feature) => !supported.includes(feature))
  if (!facts.known || lacking.length === 0) return undefined
  const message = `its agent or broker is of an earlier release, which does not support ${lacking.join(', ')} (update the stack, and run install-node.sh there)`
  return { reason: 'BrokerOutdated', message }
}

function vlanFiltered({ nics }: PlaceRequest, { facts }: Candidate): ReturnType<Check> {
  const filteringOf = (bridge: string) =>
    facts.known ? facts.value.broker?.bridges.find((one) => one.name === bridge)?.vlanFiltering : undefined
  const whyNot = nics.map((nic) => whyNoVlan(nic, filteringOf(parentOf(nic)))).find((why) => why !== undefined)
  return whyNot === undefined ? undefined : { reason: 'VlanUnavailable', message: whyNot }
}

/** The node must drop what its VMs behind NAT send to nodes. */
function behindNat({ userNetwork }: PlaceRequest, { facts }: Candidate): ReturnType<Check> {
  if (userNetwork !== true || !facts.known) return undefined
  const fact = facts.value.broker?.userNetwork
  if (fact?.state === 'active') return undefined
  return {
    reason: 'UserNetworkMissing',
    message: fact === undefined ? noUserNetwork : `its user network is not filtered (${fact.message})`,
  }
}

function slotFree(_request: PlaceRequest, { placedVms }: Candidate): ReturnType<Check> {
  return placedVms < maxGrants ? undefined : { reason: 'NoSlotLeft', message: `it has ${placedVms} VMs, and the limit is ${maxGrants}` }
}

function spareOf(request: PlaceRequest, best: Candidate, second: Candidate | undefined): Room {
  const { facts, placedVms } = best
  const freeBytes = facts.known ? freeDiskBytes(facts.value, best) : 0
  const isEqual = second !== undefined && rank(request, second) === rank(request, best)
  const lead = isEqual ? second.placedVms - placedVms : Number.POSITIVE_INFINITY
  return {
    memoryBytes: freeMemory(best) - request.memoryBytes,
    diskBytes: freeBytes - request.diskBytes,
    vms: Math.min(maxGrants - placedVms - 1, lead),
  }
}

function roomInMemory({ memoryBytes }: PlaceRequest, candidate: Candidate): ReturnType<Check> {
  const { node, placedVms, reservedBytes } = candidate
  const free = freeMemory(candidate)
  if (memoryBytes <= free) return undefined
  const others = reservedBytes === 0 ? '' : ` and ${formatBytes(reservedBytes)} that other services reserve`
  const left = `${formatBytes(Math.max(free, 0))} of ${formatBytes(node.memoryBytes)} memory is free beside ${placedVms} VMs${others}`
  return { reason: 'InsufficientMemory', message: `${left}, needs ${formatBytes(memoryBytes)}` }
}

function roomOnDisk({ diskBytes }: PlaceRequest, candidate: Candidate): ReturnType<Check> {
  const { facts, promisedDiskBytes } = candidate
  if (!facts.known || diskBytes <= freeDiskBytes(facts.value, candidate)) return undefined
  const { freeBytes } = facts.value.disk
  const promised = promisedDiskBytes === 0 ? '' : `, ${formatBytes(promisedDiskBytes)} of it promised to disks that may grow`
  return { reason: 'InsufficientDisk', message: `has ${formatBytes(freeBytes)} of disk free${promised}, needs ${formatBytes(diskBytes)}` }
}

function freeDiskBytes({ disk }: NodeFacts, { promisedDiskBytes }: Candidate): number {
  return disk.freeBytes - promisedDiskBytes
}
