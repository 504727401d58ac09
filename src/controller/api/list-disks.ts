import { managedBy, nodeLabels, objectLabels } from '../../api/labels.ts'
import { byText } from '../../api/order.ts'
import type { InstanceRecord } from '../../api/wire/agent-api.ts'
import type { DisksView, DiskView } from '../../api/wire/disks.ts'
import type { Agents } from '../../ports/agents.ts'
import type { Swarm } from '../../ports/swarm.ts'
import { answerOf } from '../../reconcilers/shared/answers.ts'
import { type PlacementRecord, readPlacementRecords, recordsLabel } from '../../reconcilers/shared/placement-record.ts'
import { uidsNamedBy } from '../../reconcilers/shared/vm-service.ts'

export interface DisksPorts {
  readonly swarm: Pick<Swarm, 'listNodes' | 'listConfigs' | 'listServices'>
  readonly agents: Agents
  readonly cluster: string
}

/** Asks every node. Reads instances before records, because a VM has its record before its disk. Throws PortError. */
export async function disksView({ swarm, agents, cluster }: DisksPorts, signal: AbortSignal): Promise<DisksView> {
  const nodes = await swarm.listNodes(signal)
  const answers = await Promise.all(nodes.map(async (node) => ({ ...node, asked: await answerOf(agents.on(node.id).instances(signal)) })))
  const records = readPlacementRecords(await swarm.listConfigs(recordsLabel, signal))
  const services = await swarm.listServices(`${objectLabels.managedBy}=${managedBy}`, signal)
  const owners = { cluster, records: new Map(records.map((one) => [one.uid, one])), served: new Set(services.flatMap(uidsNamedBy)) }
  const disks = answers.flatMap(({ hostname, asked }) => (asked.known ? asked.value.flatMap((one) => disksOf(hostname, one, owners)) : []))
  return {
    disks: disks.toSorted((a, b) => byText(a.node, b.node) || byText(a.vm ?? '', b.vm ?? '') || byText(a.uid, b.uid)),
    // A node where no agent ever answered has no disks.
    unasked: answers.flatMap(({ hostname, labels, asked }) =>
      asked.known || labels[nodeLabels.holdsState] === undefined ? [] : [{ node: hostname, message: asked.message }],
    ),
  }
}

interface DiskOwners {
  readonly cluster: string
  readonly records: ReadonlyMap<string, PlacementRecord>
  readonly served: ReadonlySet<string>
}

function disksOf(node: string, { uid, vm, cluster, disks }: InstanceRecord, owners: DiskOwners): readonly DiskView[] {
  const retainedAt = owners.records.get(uid)?.retainedAt ?? null
  const state = stateOf(uid, cluster, owners)
  return disks.map(({ name, sizeBytes, allocatedBytes, removed }) => ({
    node,
    uid,
    vm,
    cluster,
    disk: name,
    sizeBytes,
    allocatedBytes,
    state: state === 'InUse' && removed === true ? 'Detached' : state,
    retainedAt: state === 'Retained' ? retainedAt : null,
  }))
}

function stateOf(uid: string, of: string | null, { cluster, records, served }: DiskOwners): DiskView['state'] {
  const record = records.get(uid)
  if (record?.deletingAt !== undefined) return 'Deleting'
  if (served.has(uid) || (record !== undefined && record.retainedAt === undefined)) return 'InUse'
  if (record !== undefined) return 'Retained'
  return of !== null && of !== cluster ? 'Foreign' : 'Ownerless'
}
