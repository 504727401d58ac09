import { managedBy, objectLabels } from '../../api/labels.ts'
import { memoised } from '../../api/memoised.ts'
import type { GrownDisk } from '../../api/wire/agent-api.ts'
import { isUid, nodeIdOf, placementRecordName, vmNameOf, type NodeId, type VmName, type VmUid } from '../../api/names.ts'
import type { Labels, SwarmConfig } from '../../ports/swarm.ts'
import { rawJson, rawObject, rawString } from './raw.ts'
import { vmObjectLabels } from './vm-objects.ts'

/** The Swarm config `sv-vm-<name>`: a VM's identity and the node of its disks. The data never changes; node and progress are labels. */
export interface PlacementRecord {
  readonly config: SwarmConfig
  readonly vm: VmName
  readonly uid: VmUid
  /** Swarm node ID; undefined if the label was lost. */
  readonly node: NodeId | undefined
  readonly disksMade: boolean
  /** Names of the disks that the node reported, in boot order; undefined if an earlier release wrote the record. */
  readonly disks: readonly string[] | undefined
  /** Disks that are larger than they were created; undefined if the node never reported one. */
  readonly grown: readonly GrownDisk[] | undefined
  /** Networks that are behind NAT because no node has their bridge. */
  readonly fallback: readonly string[]
  /** The port of the node for `ssh: auto`, for the life of the VM. */
  readonly sshPort: number | undefined
  /** The node's check of the pending machine (`noteOfCheck`). */
  readonly prepared: string | undefined
  /** RFC 3339; when the VM was removed and its disks were kept. */
  readonly retainedAt: string | undefined
  /** The current or last manifest says deletionPolicy: Delete. */
  readonly deletes: boolean
  /** Its disks are only deleted after a confirmation. */
  readonly mustConfirm: boolean
  /** RFC 3339; when the VM was removed. Its disks are being deleted, also if a manifest declares the VM again. */
  readonly deletingAt: string | undefined
}

/** The value in the manifest. */
export const deletePolicy = 'Delete'
/** The label's value while the VM is absent and its disks are only deleted after a confirmation. */
export const confirmPolicy = 'Confirm'

export interface PlacementFields {
  readonly cluster: string
  readonly vm: VmName
  readonly uid: VmUid
  readonly node: NodeId
  readonly disksMade: boolean
  /** Absent while the node has not reported them; the record's value then stays. */
  readonly disks?: readonly string[] | undefined
  readonly grown?: readonly GrownDisk[] | undefined
  readonly fallback?: readonly string[] | undefined
  readonly sshPort?: number | undefined
  readonly prepared?: string | undefined
  /** The manifest source that declares the VM. */
  readonly source: string
  /** deletionPolicy is Delete. */
  readonly deletes: boolean
}

/**
 * Undefined if the config is not a placement record. Reads uid and VM from the data and checks the name, because labels can be lost.
 * The name matters too: a launch config's data begins with the same fields.
 */
export const readPlacementRecord = memoised((config: SwarmConfig): PlacementRecord | undefined => {
  const identity = identityOf(config.data)
  if (identity === undefined || config.name !== placementRecordName(identity.vm)) return undefined
  return {
    config,
    ...identity,
    node: nodeIdOf(config.labels[objectLabels.node]),
    disksMade: config.labels[objectLabels.disksMade] === 'true',
    disks: config.labels[objectLabels.disks]?.match(/[^,]+/g) ?? undefined,
    grown: config.labels[objectLabels.grown]?.split(',').flatMap(grownDiskIn),
    fallback: config.labels[objectLabels.fallback]?.match(/[^,]+/g) ?? [],
    sshPort: portIn(config.labels[objectLabels.sshPort]),
    prepared: config.labels[objectLabels.prepared],
    retainedAt: config.labels[objectLabels.retainedAt],
    deletes: [deletePolicy, confirmPolicy].includes(config.labels[objectLabels.deletionPolicy] ?? ''),
    mustConfirm: config.labels[objectLabels.deletionPolicy] === confirmPolicy,
    deletingAt: config.labels[objectLabels.deletingAt],
  }
})

function portIn(text: string | undefined): number | undefined {
  return text !== undefined && /^[1-9]\d{0,4}$/.test(text) && Number(text) <= 65_535 ? Number(text) : undefined
}

function grownText({ name, createdBytes, sizeBytes }: GrownDisk): string {
  return `${name}=${createdBytes}-${sizeBytes}`
}

function grownDiskIn(text: string): GrownDisk[] {
  const { name, created, size } = /^(?<name>[a-z0-9-]+)=(?<created>\d{1,15})-(?<size>\d{1,15})$/.exec(text)?.groups ?? {}
  return name === undefined ? [] : [{ name, createdBytes: Number(created), sizeBytes: Number(size) }]
}

/** Cached by the bytes, which a label update does not change. */
const identityOf = memoised(identityIn)

function identityIn(bytes: Uint8Array): Pick<PlacementRecord, 'vm' | 'uid'> | undefined {
  const data = rawObject(rawJson(bytes))
  const uid = rawString(data['uid'])
  const vm = vmNameOf(rawString(data['vm']))
  if (data['version'] !== 1 || uid === undefined || !isUid(uid) || vm === undefined) return undefined
  return { vm, uid }
}

/** The filter that lists all records. It does not use the component label, which may be lost. */
export const recordsLabel = `${objectLabels.managedBy}=${managedBy}`

/** Cached by the list, because each reconcile of a node reads the records of all VMs. */
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
    ...(fields.fallback === undefined || fields.fallback.length === 0 ? {} : { [objectLabels.fallback]: fields.fallback.join(',') }),
    ...(fields.sshPort === undefined ? {} : { [objectLabels.sshPort]: String(fields.sshPort) }),
    ...(fields.disks === undefined ? {} : { [objectLabels.disks]: fields.disks.join(',') }),
    ...(fields.grown === undefined ? {} : { [objectLabels.grown]: fields.grown.map(grownText).join(',') }),
  }
}
