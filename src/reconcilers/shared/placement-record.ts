import { labelSchemaVersion, managedBy, objectLabels } from '../../api/labels.ts'
import { memoised } from '../../api/memoised.ts'
import { placementRecordName, uidPattern, type VmName, type VmUid } from '../../api/names.ts'
import type { Labels, SwarmConfig } from '../../ports/swarm.ts'
import { rawObject, rawString } from './raw.ts'

/** The Swarm config `sv-vm-<name>`: who a VM is and where its disks are. Data never changes; node and progress are labels. */
export interface PlacementRecord {
  readonly config: SwarmConfig
  readonly vm: VmName
  readonly uid: VmUid
  /** Swarm node ID; undefined where the label was lost. */
  readonly node: string | undefined
  readonly disksMade: boolean
  /** Names of the disks that the node said are there, in boot order; undefined where an earlier release wrote the record. */
  readonly disks: readonly string[] | undefined
  /** The node's answer on the pending machine (`noteOfCheck`). */
  readonly prepared: string | undefined
  /** RFC 3339; the VM was removed then and its disks were kept. */
  readonly retainedAt: string | undefined
  /** Its manifest says, or said last, that the disks go with the VM. */
  readonly deletes: boolean
  /** RFC 3339; the VM was removed then, and its disks are being deleted whatever is declared since. */
  readonly deletingAt: string | undefined
}

/** As the manifest has it. */
export const deletePolicy = 'Delete'

export interface PlacementFields {
  readonly cluster: string
  readonly vm: VmName
  readonly uid: VmUid
  readonly node: string
  readonly disksMade: boolean
  /** Absent while the node does not say; what the record has stays then. */
  readonly disks?: readonly string[] | undefined
  readonly prepared?: string | undefined
  /** Manifest source that the VM's declaration came from. */
  readonly source: string
  /** The disks go with the VM. */
  readonly deletes: boolean
}

/**
 * Undefined where the config is no placement record. Name and data tell, and the data is what counts for uid and VM: labels can be lost, name and data
 * cannot change. A launch config has the same first fields under another name.
 */
export const readPlacementRecord = memoised((config: SwarmConfig): PlacementRecord | undefined => {
  const identity = identityOf(config.data)
  if (identity === undefined || config.name !== placementRecordName(identity.vm)) return undefined
  return {
    config,
    ...identity,
    node: config.labels[objectLabels.node],
    disksMade: config.labels[objectLabels.disksMade] === 'true',
    disks: config.labels[objectLabels.disks]?.match(/[^,]+/g) ?? undefined,
    prepared: config.labels[objectLabels.prepared],
    retainedAt: config.labels[objectLabels.retainedAt],
    deletes: config.labels[objectLabels.deletionPolicy] === deletePolicy,
    deletingAt: config.labels[objectLabels.deletingAt],
  }
})

/** By the bytes, which stay when labels are written. */
const identityOf = memoised(identityIn)

function identityIn(bytes: Uint8Array): Pick<PlacementRecord, 'vm' | 'uid'> | undefined {
  const data = rawObject(parseJson(new TextDecoder().decode(bytes)))
  const uid = rawString(data['uid'])
  const vm = rawString(data['vm'])
  if (data['version'] !== 1 || uid === undefined || !uidPattern.test(uid) || vm === undefined) return undefined
  return { vm, uid }
}

/** What to list them by. The component's label may be lost. */
export const recordsLabel = `${objectLabels.managedBy}=${managedBy}`

/** By the list: each node looks at those of all VMs. */
export const readPlacementRecords = memoised((configs: readonly SwarmConfig[]): readonly PlacementRecord[] =>
  configs.filter((one) => one.labels[objectLabels.managedBy] === managedBy).flatMap((one) => readPlacementRecord(one) ?? []),
)

export function placementData(fields: Pick<PlacementFields, 'uid' | 'vm' | 'cluster'>): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify({ version: 1, uid: fields.uid, vm: fields.vm, cluster: fields.cluster })}\n`)
}

export function placementLabels(fields: PlacementFields): Labels {
  return {
    ...vmObjectLabels('placement', fields),
    [objectLabels.node]: fields.node,
    [objectLabels.source]: fields.source,
    ...(fields.deletes ? { [objectLabels.deletionPolicy]: deletePolicy } : {}),
    ...(fields.disksMade ? { [objectLabels.disksMade]: 'true' } : {}),
    ...(fields.prepared === undefined ? {} : { [objectLabels.prepared]: fields.prepared }),
    ...(fields.disks === undefined ? {} : { [objectLabels.disks]: fields.disks.join(',') }),
  }
}

/** What every Swarm object of one VM carries. */
export function vmObjectLabels(
  component: 'vm' | 'launch' | 'userdata' | 'placement',
  of: { readonly cluster: string; readonly vm: VmName; readonly uid: VmUid },
): Labels {
  return {
    [objectLabels.managedBy]: managedBy,
    [objectLabels.schema]: labelSchemaVersion,
    [objectLabels.component]: component,
    [objectLabels.cluster]: of.cluster,
    [objectLabels.vm]: of.vm,
    [objectLabels.uid]: of.uid,
  }
}

/** All wanted labels are there with their values; others may be there too. */
export function carries(labels: Labels, wanted: Labels): boolean {
  return Object.entries(wanted).every(([key, value]) => labels[key] === value)
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}
