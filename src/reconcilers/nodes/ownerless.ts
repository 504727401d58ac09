import { placementRecordName, serviceName, type VmName, type VmUid } from '../../api/names.ts'
import type { InstanceRecord } from '../../api/wire/agent-api.ts'
import type { Declarations } from '../../ports/declarations.ts'
import type { Swarm, SwarmService } from '../../ports/swarm.ts'
import { type PlacementRecord, readPlacementRecord } from '../shared/placement-record.ts'
import { uidsNamedBy } from '../shared/vm-service.ts'

export interface Owners {
  readonly swarm: Pick<Swarm, 'getConfig' | 'getService'>
  readonly declarations: Pick<Declarations, 'isNowhere'>
  readonly cluster: string
  /** Records of all VMs of the Swarm, listed after the instances, because a VM has a record before it has a grant. */
  readonly records: readonly PlacementRecord[]
  readonly services: readonly SwarmService[]
}

/**
 * Uids of this cluster's VMs that have a grant on the node but no manifest, no active record and no service. Absences in lists are confirmed
 * by reads by name. Only grants are revoked; the disks stay.
 */
export async function ownerlessGrants(
  { swarm, declarations, cluster, records, services }: Owners,
  instances: readonly InstanceRecord[],
  signal: AbortSignal,
): Promise<readonly VmUid[]> {
  const owned = new Set([...records.filter((one) => one.retainedAt === undefined).map((one) => one.uid), ...services.flatMap(uidsNamedBy)])
  const orphans: VmUid[] = []
  for (const { uid, vm, granted, cluster: of } of instances) {
    // The owner is unknown, or it is another cluster.
    if (!granted || vm === null || of !== cluster || owned.has(uid) || !declarations.isNowhere(vm)) continue
    if (!(await isNamed(swarm, vm, uid, signal))) orphans.push(uid)
  }
  return orphans
}

/** A record without our owner label counts too: the VM in it is not touched. */
async function isNamed(swarm: Owners['swarm'], vm: VmName, uid: VmUid, signal: AbortSignal): Promise<boolean> {
  const config = await swarm.getConfig(placementRecordName(vm), signal)
  const record = config && readPlacementRecord(config)
  if (record?.uid === uid && record.retainedAt === undefined) return true
  const service = await swarm.getService(serviceName(vm), signal)
  return service !== undefined && uidsNamedBy(service).includes(uid)
}
