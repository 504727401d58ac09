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
  /** Of all VMs of the Swarm, listed after the instances: who gets a grant has a record before. */
  readonly records: readonly PlacementRecord[]
  readonly services: readonly SwarmService[]
}

/**
 * Uids of VMs of this cluster that may still be started on a node, and that nothing names any more: no manifest, no record that is
 * not retained, and no service. What no list has is asked for by name before it is believed to be gone. Their disks are nobody's to take away.
 */
export async function ownerlessGrants(
  { swarm, declarations, cluster, records, services }: Owners,
  instances: readonly InstanceRecord[],
  signal: AbortSignal,
): Promise<readonly VmUid[]> {
  const owned = new Set([...records.filter((one) => one.retainedAt === undefined).map((one) => one.uid), ...services.flatMap(uidsNamedBy)])
  const orphans: VmUid[] = []
  for (const { uid, vm, granted, cluster: of } of instances) {
    // Whose it is cannot be told, or it is another cluster's.
    if (!granted || vm === null || of !== cluster || owned.has(uid) || !declarations.isNowhere(vm)) continue
    if (!(await isNamed(swarm, vm, uid, signal))) orphans.push(uid)
  }
  return orphans
}

/** A record that a person took from us counts here: what it names is left alone. */
async function isNamed(swarm: Owners['swarm'], vm: VmName, uid: VmUid, signal: AbortSignal): Promise<boolean> {
  const config = await swarm.getConfig(placementRecordName(vm), signal)
  const record = config && readPlacementRecord(config)
  if (record?.uid === uid && record.retainedAt === undefined) return true
  const service = await swarm.getService(serviceName(vm), signal)
  return service !== undefined && uidsNamedBy(service).includes(uid)
}
