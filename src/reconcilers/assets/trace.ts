import { nodeLabels, objectLabels } from '../../api/labels.ts'
import { isUid, type NodeId, type VmName, type VmUid } from '../../api/names.ts'
import type { SwarmService } from '../../ports/swarm.ts'
import { nodeIdIn } from '../shared/constraints.ts'
import { ownershipOf } from '../shared/vm-service.ts'
import type { ClusterSeen, NodeSeen } from './observe.ts'

/** The remains of a VM whose placement record, or the record's node, is missing. */
export type Trace =
  /** Nothing exists, and every node that could have something was asked: a new identity is safe. */
  | { readonly kind: 'none' }
  | { readonly kind: 'found'; readonly uid: VmUid; readonly nodeId: NodeId; readonly disksMade: boolean; readonly from: string }
  /** A node that may have the disk is unreachable, or several disks claim the identity: no changes are made. */
  | { readonly kind: 'unclear'; readonly reason: 'DiskNodeUnknown' | 'SeveralDisks' | 'UnidentifiedDisk'; readonly message: string }

interface Hit {
  readonly seen: NodeSeen
  readonly uid: VmUid
  readonly hasDisks: boolean
}

export interface TraceInput {
  readonly vm: VmName
  readonly cluster: string
  /** The record's uid, if only its node was lost. */
  readonly uid: VmUid | undefined
  /** The record says that the disks were created. */
  readonly disksMade: boolean
  readonly service: SwarmService | undefined
}

/**
 * Finds a VM's identity again. A disk in an inventory proves where the VM is; labels and the service are only hints. An empty disk must never
 * boot in place of a full one, so anything uncertain is `unclear`.
 */
export function traceOf(input: TraceInput, cluster: ClusterSeen): Trace {
  const hits = cluster.nodes.flatMap((one) => hitsOn(one, input))
  const own = ownService(input, hits)
  const ownUid = input.uid ?? own?.uid
  const uids = new Set(ownUid === undefined ? hits.map((one) => one.uid) : [ownUid])
  const [uid] = uids
  if (uids.size > 1) return several(input.vm, hits)
  if (uid === undefined) return nothingFound(input.vm, cluster)
  const disks = hits.filter((one) => one.uid === uid && one.hasDisks)
  if (disks.length > 1) return several(input.vm, disks)
  const [disk] = disks
  const written = own && (own.service.labels[objectLabels.node] ?? nodeIdIn(own.service))
  if (disk !== undefined) return fromDisk(input, cluster, { disk, written })
  const seen = cluster.nodes.find((one) => one.node.id === written) ?? hits.find((one) => one.uid === uid)?.seen
  return fromNote(input, cluster, { uid, seen, ran: own !== undefined || input.disksMade })
}

/** Ignores a uid that is only in a label of the service: anybody can write it. The template or a node must have it too. */
function ownService(
  { vm, uid, service }: TraceInput,
  found: readonly Pick<Hit, 'uid'>[],
): { readonly service: SwarmService; readonly uid: VmUid } | undefined {
  const owned = ownershipOf(vm, service)
  if (owned.kind !== 'ours') return undefined
  const isKnown = owned.pinned || owned.uid === uid || found.some((one) => one.uid === owned.uid)
  return isKnown && isUid(owned.uid) ? { service: owned.service, uid: owned.uid } : undefined
}

/**
 * One disk was found. While a node is silent, the disk may be an old copy (a restored backup) of the one on that node, unless the service
 * names the disk's node. A record whose node has left the Swarm does not help, because its machine may have rejoined.
 */
function fromDisk(
  { vm }: TraceInput,
  cluster: ClusterSeen,
  { disk, written }: { readonly disk: Hit; readonly written: string | undefined },
): Trace {
  const silent = silentNodes(cluster)
  const isConfirmed = written === disk.seen.node.id
  return silent.length > 0 && !isConfirmed ? diskNodeUnknown(vm, silent) : found(disk.uid, disk.seen, true, 'its disk')
}

/** No disk was found; the service or a directory says where it should be. */
function fromNote(
  { vm }: TraceInput,
  cluster: ClusterSeen,
  note: { readonly uid: VmUid; readonly seen: NodeSeen | undefined; readonly ran: boolean },
): Trace {
  const { seen } = note
  // A service is only created once the disks exist, so the node is certain; the agent will not create an empty disk in their place.
  if (seen !== undefined && note.ran) return found(note.uid, seen, true, 'its service')
  const silent = silentNodes(cluster)
  if (silent.length > 0) return diskNodeUnknown(vm, silent)
  if (seen !== undefined) return found(note.uid, seen, false, 'its directory')
  if (!note.ran) return { kind: 'none' }
  const message = `${vm} (uid ${note.uid}) had disks, but no node has them: bring back their node, or remove the config sv-vm-${vm} and the service vm-${vm} to start with new disks`
  return { kind: 'unclear', reason: 'DiskNodeUnknown', message }
}

function found(uid: VmUid, { node }: NodeSeen, disksMade: boolean, from: string): Trace {
  return { kind: 'found', uid, nodeId: node.id, disksMade, from }
}

function nothingFound(vm: VmName, cluster: ClusterSeen): Trace {
  const silent = silentNodes(cluster)
  if (silent.length > 0) return diskNodeUnknown(vm, silent)
  if (cluster.nameless.length === 0) return { kind: 'none' }
  const nameless = cluster.nameless.map(({ uid, hostname }) => `instances/${uid} on ${hostname}`)
  const message = `identity.json cannot be read in ${nameless.join(', ')}: it may be the disk of ${vm}. Restore the file or move the directory away`
  return { kind: 'unclear', reason: 'UnidentifiedDisk', message }
}

function diskNodeUnknown(vm: VmName, silent: readonly NodeSeen[]): Trace {
  const names = silent.map(({ node }) => node.hostname).toSorted()
  const wayOut = 'restart the agent, or if the node and its disks are lost for good: docker node rm --force NODE'
  const message = `the disk of ${vm} may be on ${names.join(', ')}, where no agent answers; ${wayOut}`
  return { kind: 'unclear', reason: 'DiskNodeUnknown', message }
}

function several(vm: VmName, hits: readonly Pick<Hit, 'seen' | 'uid'>[]): Trace {
  const each = [...new Set(hits.map((one) => `${one.uid} on ${one.seen.node.hostname}`))].toSorted()
  return {
    kind: 'unclear',
    reason: 'SeveralDisks',
    message: `several disks claim to be ${vm}: ${each.join(', ')}. Move all but one away`,
  }
}

function hitsOn(seen: NodeSeen, { vm, cluster, uid }: TraceInput): Hit[] {
  if (!seen.instances.known) return []
  const own = seen.instances.value.filter((one) => (one.vm === vm && one.cluster === cluster) || one.uid === uid)
  return own.map((one) => ({ seen, uid: one.uid, hasDisks: one.disks.length > 0 && one.unfinished !== true }))
}

function silentNodes(cluster: ClusterSeen): NodeSeen[] {
  return cluster.nodes.filter((one) => !one.instances.known && mayHoldDisks(one))
}

/** A node that never had a swarmvirt label or an agent cannot have a disk. */
function mayHoldDisks({ node, facts, agentExpected }: NodeSeen): boolean {
  return (
    agentExpected || facts.known || Object.keys(node.labels).some((key) => key === nodeLabels.vmCapable || key.startsWith('swarmvirt.'))
  )
}
