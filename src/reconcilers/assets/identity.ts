import { type ConditionDraft, condition } from '../../api/conditions.ts'
import { followDiskAnnotation } from '../../api/manifest/annotations.ts'
import { nodeLabels } from '../../api/labels.ts'
import type { VirtualMachine } from '../../api/manifest.ts'
import type { DriftKind } from '../../api/drift-kinds.ts'
import type { SwarmNode } from '../../ports/swarm.ts'
import { featuresOf } from '../../api/node-features.ts'
import { declaredMachine, needsOf } from '../shared/applied.ts'
import type { PlacementRecord } from '../shared/placement-record.ts'
import { behindNat } from '../shared/rendered-networks.ts'
import { type AssetsPlan, writeRecord } from './actions.ts'
import { waitingConditions } from './conditions.ts'
import type { AssumedPlacement } from '../shared/assumed-placements.ts'
import type { AssetsSeen, ClusterSeen, NodeSeen } from './observe.ts'
import { type Candidate, type PlaceRequest, place } from './place.ts'
import { needOfVm, noLoad } from './placements.ts'
import { traceOf } from './trace.ts'
import type { VmUid } from '../../api/names.ts'
import type { NodeId } from '../../api/names.ts'

type Present = Extract<AssetsSeen['declaration'], { kind: 'present' }>

/** Agents start without an event. */
const requeueAfterMs = 3_000

/** For a declared VM without a record, or with a record whose node has left: adopts what exists of it, or else places it. */
export function planIdentity(seen: AssetsSeen, cluster: ClusterSeen): AssetsPlan {
  const { vm, settings, record, service, declaration } = seen
  if (declaration.kind !== 'present') return { actions: [], conditions: [], next: { kind: 'settled' } }
  const lost = { vm, cluster: settings.cluster, uid: record?.uid, disksMade: record?.disksMade ?? false, service }
  const trace = traceOf(lost, cluster)
  switch (trace.kind) {
    case 'unclear':
      return unplaced(condition('Placed', statusOf(trace.reason), trace.reason, trace.message))
    case 'found': {
      const hostname = cluster.nodes.find((one) => one.node.id === trace.nodeId)?.node.hostname ?? trace.nodeId
      const message = `on ${hostname}, as ${trace.from} says (uid ${trace.uid})`
      return placed(
        seen,
        {
          uid: trace.uid,
          node: trace.nodeId,
          disksMade: trace.disksMade,
          source: declaration.source,
          // A lost record knew which networks had fallen back. Without them, a restart would wait for a bridge.
          fallback: bridgesMissing(
            declaration.vm,
            cluster.nodes.filter((one) => one.node.id === trace.nodeId),
          ),
        },
        condition('Placed', 'True', 'Adopted', message),
        ['placement_record'],
      )
    }
    case 'none':
      return placeNew(seen, cluster, declaration)
  }
}

/** Moves the record to the node where the disks were found, because the user allows it. */
export function planFollow(
  seen: AssetsSeen,
  { uid }: PlacementRecord,
  { node, source }: { readonly node: SwarmNode; readonly source: string },
): AssetsPlan {
  const message = `on ${node.hostname}, where its disks were found, as ${followDiskAnnotation} says (uid ${uid})`
  return placed(seen, { uid, node: node.id, disksMade: true, source }, condition('Placed', 'True', 'Adopted', message))
}

/** Unknown while a node that may have the disk is silent; several disks are a certain failure. */
function statusOf(reason: string): 'Unknown' | 'False' {
  return reason === 'DiskNodeUnknown' ? 'Unknown' : 'False'
}

function placeNew(seen: AssetsSeen, cluster: ClusterSeen, { vm, source }: Present): AssetsPlan {
  const fallback = bridgesMissing(vm, cluster.nodes)
  const request = requestOf(seen, behindNat(vm, fallback))
  const choice = place(request, candidatesOf(cluster))
  switch (choice.kind) {
    case 'refused':
      return unplaced(condition('Placed', 'False', choice.reason, choice.message))
    case 'placed': {
      const uid = seen.record?.uid ?? cluster.freshUid
      const claim = { uid, nodeId: choice.nodeId, takes: request, spare: choice.spare, mark: cluster.mark }
      const draft = condition('Placed', 'True', 'Placed', choice.message)
      return placed(seen, { uid, node: choice.nodeId, disksMade: false, source, fallback }, draft, [], claim)
    }
  }
}

function placed(
  seen: AssetsSeen,
  to: { uid: VmUid; node: NodeId; disksMade: boolean; source: string; fallback?: readonly string[] },
  draft: ConditionDraft,
  corrects: readonly DriftKind[] = [],
  claim?: AssumedPlacement,
): AssetsPlan {
  return {
    actions: writeRecord(seen, to, corrects, claim),
    conditions: [draft, ...waitingConditions()],
    next: { kind: 'requeueAfter', ms: requeueAfterMs },
  }
}

/** Networks with `fallback: user` whose bridge none of the nodes has. A node that is away may still have it, as its label says. */
function bridgesMissing({ spec }: VirtualMachine, nodes: readonly NodeSeen[]): readonly string[] {
  const isOn = (bridge: string, { node, facts }: NodeSeen): boolean =>
    facts.known && facts.value.broker !== null
      ? facts.value.broker.bridges.some((one) => one.name === bridge && one.up)
      : node.labels[nodeLabels.bridge(bridge)] === 'true'
  return spec.networks.flatMap(({ name, bridge, fallback }) =>
    bridge !== undefined && fallback === 'user' && !nodes.some((one) => isOn(bridge, one)) ? [name] : [],
  )
}

function unplaced(draft: ConditionDraft): AssetsPlan {
  return { actions: [], conditions: [draft, ...waitingConditions()], next: { kind: 'requeueAfter', ms: requeueAfterMs } }
}

function requestOf({ settings }: AssetsSeen, vm: VirtualMachine): PlaceRequest {
  const { bytes, diskBytes } = needOfVm(vm, settings)
  const { accelerator, nics, networks, firmware } = needsOf(declaredMachine(settings.cluster, vm))
  return {
    accelerator,
    softwareEmulation: settings.softwareEmulation,
    nics,
    userNetwork: networks !== undefined,
    features: featuresOf(firmware),
    cpuLimit: vm.spec.resources?.cpuLimit ?? 0,
    memoryBytes: bytes,
    diskBytes,
  }
}

function candidatesOf(cluster: ClusterSeen): Candidate[] {
  return cluster.nodes.map(({ node, facts, instances }) => {
    const { vms, bytes, unmadeDiskBytes } = cluster.loads.get(node.id) ?? noLoad
    const reserved = cluster.reserved.get(node.id) ?? 0
    return {
      node,
      facts,
      placedVms: vms,
      committedBytes: bytes,
      reservedBytes: reserved,
      promisedDiskBytes: grownBytes(instances) + unmadeDiskBytes,
    }
  })
}

/** How much the disks on a node may still grow. Includes retained disks, which a restored manifest uses again. */
function grownBytes(instances: NodeSeen['instances']): number {
  const disks = instances.known ? instances.value.flatMap((one) => one.disks) : []
  return disks.reduce((sum, one) => sum + Math.max(0, one.sizeBytes - one.allocatedBytes), 0)
}
