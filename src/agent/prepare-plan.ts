import { formatBytes } from '../api/quantity.ts'
import { mostDisks } from '../api/disk-slots.ts'
import { layoutVersion } from '../api/layout.ts'
import type { VmUid } from '../api/names.ts'
import { otherInstanceReason, type PrepareOrder } from '../api/wire/agent-api.ts'
import { replaceLine, replaceToken } from '../api/replace-disks.ts'
import type { DiskRecord, Identity } from '../api/wire/identity.ts'
import type { ImageFormat } from '../ports/image-tool.ts'

type OrderedDisk = PrepareOrder['disks'][number]
export type ImageReference = NonNullable<OrderedDisk['image']>

/** A VM's files on this node. */
export interface SeenInstance {
  /** Version in `layout.json`. Undefined if the file is missing or unreadable. */
  readonly layoutVersion: number | undefined
  readonly identity:
    | { readonly kind: 'absent' }
    | { readonly kind: 'known'; readonly identity: Identity }
    | { readonly kind: 'unreadable'; readonly message: string }
  /** The unfinished identity.json of an interrupted preparation. */
  readonly draft: Identity | undefined
  /** Names of disks, of the order and of the identity, whose file exists. */
  readonly disks: readonly string[]
  /** Sizes of disks that may have grown, as the guest sees them. */
  readonly guestSizes: ReadonlyMap<string, number>
  /** SHA-256 of the images linked into the instance. */
  readonly linkedImages: readonly string[]
}

export interface Failure {
  readonly kind: 'failed'
  readonly reason: string
  readonly message: string
}

/** A disk of a VM that is not complete. */
export interface DiskToComplete {
  readonly disk: OrderedDisk
  /** `made`: the file exists, made from `image` in the draft's format if the draft has one. `missing`: create it from the image of `disk`. */
  readonly state:
    | { readonly kind: 'made'; readonly image: { readonly sha256: string; readonly format: ImageFormat | undefined } | undefined }
    | { readonly kind: 'unknown' }
    | { readonly kind: 'missing' }
}

/** A disk that replaces others, as the manifest explicitly allows. */
export interface Replacement {
  readonly kind: 'replace'
  readonly disk: OrderedDisk
  /** The disks to remove. */
  readonly there: readonly DiskRecord[]
  readonly identity: Identity
}

/** A disk that the VM was not created with. */
export interface Addition {
  readonly kind: 'add'
  readonly disk: OrderedDisk
  readonly identity: Identity
}

/** Only the identity changes: the manifest names other disks than before, or another size. `needs` is the space that a larger disk needs. */
interface Marking {
  readonly kind: 'mark'
  readonly identity: Identity
  readonly needs?: { readonly name: string; readonly sizeBytes: number }
}

export type PreparePlan =
  | Failure
  | { readonly kind: 'complete' }
  | { readonly kind: 'make'; readonly disks: readonly DiskToComplete[] }
  | Replacement
  | Addition
  | Marking

/**
 * Decides what an order means for the existing files. identity.json is written last, so it proves that every disk was made. If it exists, no disk is
 * made again, except for a replacement that the manifest allows. If it does not, existing files are completed and never wiped.
 */
export function planPrepare(order: PrepareOrder, seen: SeenInstance): PreparePlan {
  return (
    judgeInstance(order, seen) ?? (seen.identity.kind === 'known' ? planKnown(order, seen.identity.identity, seen) : planNew(order, seen))
  )
}

/** Returns why this order may not change the directory at all, not even to complete unfinished work. */
export function judgeInstance(order: PrepareOrder, seen: SeenInstance): Failure | undefined {
  return judgeLayout(seen) ?? judgeOwner(order, seen)
}

export function judgeLayout(seen: Pick<SeenInstance, 'layoutVersion'>): Failure | undefined {
  if (seen.layoutVersion === layoutVersion) return undefined
  if (seen.layoutVersion === undefined)
    return failed('LayoutMissing', 'the state root has no readable layout.json; run install-node on this node')
  return failed(
    'LayoutUnsupported',
    `the state root has layout version ${seen.layoutVersion}, but this agent supports ${layoutVersion}; update swarmvirt on this node`,
  )
}

function judgeOwner(order: PrepareOrder, seen: SeenInstance): Failure | undefined {
  if (seen.identity.kind === 'unreadable')
    return failed('IdentityUnreadable', `identity.json of ${order.uid} is invalid: ${seen.identity.message}`)
  const owner = seen.identity.kind === 'known' ? seen.identity.identity : seen.draft
  if (owner === undefined || (owner.uid === order.uid && owner.vm === order.vm && owner.cluster === order.cluster)) return undefined
  return failed(
    'IdentityMismatch',
    `the directory of ${order.uid} belongs to VM ${owner.vm} of cluster "${owner.cluster}", not to ${order.vm} of "${order.cluster}"; nothing was changed`,
  )
}

function planKnown(order: PrepareOrder, identity: Identity, seen: SeenInstance): PreparePlan {
  for (const disk of order.disks) {
    const verdict = judgeKnown(order, disk, identity, seen)
    if (verdict) return verdict
  }
  const disks = identity.disks.map((one) => marked(one, isOrdered(order, one)))
  return disks.every((one, index) => one === identity.disks[index])
    ? { kind: 'complete' }
    : { kind: 'mark', identity: { ...identity, disks } }
}

function isOrdered(order: PrepareOrder, { name }: DiskRecord): boolean {
  return order.disks.some((one) => one.name === name)
}

function marked(record: DiskRecord, ordered: boolean): DiskRecord {
  if (ordered === (record.removed !== true)) return record
  const { removed: _removed, ...rest } = record
  return ordered ? rest : { ...rest, removed: true }
}

function judgeKnown(
  order: PrepareOrder,
  disk: OrderedDisk,
  identity: Identity,
  seen: SeenInstance,
): Failure | Replacement | Addition | Marking | undefined {
  const record = identity.disks.find((one) => one.name === disk.name)
  if (record === undefined) return judgeNew(order, disk, identity, seen)
  if (!seen.disks.includes(disk.name)) return diskMissing(order, disk)
  const cannotGrow = judgeReadOnly(order, disk, record, seen)
  if (cannotGrow) return cannotGrow
  const refusal = judgeChange(order, disk, record)
  if (refusal === undefined) return undefined
  return resized(disk, record, identity, seen) ?? allowed(order, disk, identity, [record], refusal)
}

/** QEMU grows no disk that it may not write to, so the guest would never see the larger size. */
function judgeReadOnly(order: PrepareOrder, disk: OrderedDisk, record: DiskRecord, { guestSizes }: SeenInstance): Failure | undefined {
  const size = guestSizes.get(disk.name) ?? record.sizeBytes
  if (disk.readOnly !== true || disk.sizeBytes <= size || !isMadeFrom(disk.image, record)) return undefined
  return failed(
    'DiskResizeUnsupported',
    `disk "${disk.name}" of ${order.vm} has ${formatBytes(size)} and cannot grow to ${formatBytes(disk.sizeBytes)} while it is read-only. Remove readOnly until the VM has restarted with the larger disk, or restore the old size`,
  )
}

/** A disk grows, or a larger size is withdrawn before the runner grew the file. */
function resized(disk: OrderedDisk, record: DiskRecord, identity: Identity, seen: SeenInstance): Marking | undefined {
  if (!isMadeFrom(disk.image, record)) return undefined
  const { createdBytes = record.sizeBytes, ...rest } = record
  const least = Math.max(createdBytes, seen.guestSizes.get(disk.name) ?? record.sizeBytes)
  const grows = disk.sizeBytes > record.sizeBytes
  if (!grows && disk.sizeBytes < least) return undefined
  const sized = { ...rest, sizeBytes: disk.sizeBytes, ...(disk.sizeBytes === createdBytes ? {} : { createdBytes }) }
  const marking: Marking = { kind: 'mark', identity: { ...identity, disks: identity.disks.map((one) => (one === record ? sized : one)) } }
  return grows ? { ...marking, needs: { name: disk.name, sizeBytes: disk.sizeBytes - record.sizeBytes } } : marking
}

/** Handles a disk name that the VM was not created with. */
function judgeNew(order: PrepareOrder, disk: OrderedDisk, identity: Identity, seen: SeenInstance): Failure | Replacement | Addition {
  if (seen.disks.includes(disk.name)) {
    const path = `instances/${order.uid}/disks/${disk.name}.qcow2`
    return failed('DiskError', `${path} below the state root was not created as a disk of ${order.vm}; move it away`)
  }
  // A rename keeps the content. So a new disk with another image is none, and neither is one whose disk left the manifest in an earlier edit.
  const there = identity.disks.filter((one) => one.removed !== true && !isOrdered(order, one) && isMadeFrom(disk.image, one))
  if (there.length > 0) return allowed(order, disk, identity, there, renameRefused(order, disk, there))
  return addition(order, disk, identity, seen)
}

function renameRefused({ vm }: PrepareOrder, { name }: OrderedDisk, there: readonly DiskRecord[]): Failure {
  const names = there.map((one) => `"${one.name}"`).join(', ')
  return failed(
    'DiskRenameRefused',
    `the manifest has disk "${name}" instead of ${names} of ${vm}, which would be a new, empty disk. To add "${name}" and remove ${names}, make two edits`,
  )
}

/** A removed disk whose file was deleted gives its slot up if no other is free. */
function addition(order: PrepareOrder, disk: OrderedDisk, identity: Identity, seen: SeenInstance): Failure | Addition {
  const isFull = identity.disks.length >= mostDisks
  const disks = identity.disks.filter((one) => !isFull || isOrdered(order, one) || seen.disks.includes(one.name))
  if (disks.length < mostDisks) return { kind: 'add', disk, identity: { ...identity, disks } }
  const removed = disks.flatMap((one) => (isOrdered(order, one) ? [] : `${one.name}.qcow2`))
  return failed(
    'TooManyDisks',
    `${order.vm} already has ${mostDisks} disks, and the manifest no longer names ${removed.join(', ')}. To add "${disk.name}", delete one of these files in instances/${order.uid}/disks below the state root`,
  )
}

/** The annotation allows exactly this edit of this disk, and no other. */
function allowed(
  order: PrepareOrder,
  disk: OrderedDisk,
  identity: Identity,
  there: readonly DiskRecord[],
  refusal: Failure,
): Failure | Replacement {
  const token = replaceToken(identity, there, disk)
  if ((order.replaceDisks ?? []).some((one) => one.disk === disk.name && one.token === token))
    return { kind: 'replace', disk, there, identity }
  const how = `to replace the disk and lose its data, halt the VM and add to metadata.annotations: ${replaceLine(disk.name, token)}`
  return failed(refusal.reason, `${refusal.message}. The VM keeps running with its disk. Restore the old value in the manifest or, ${how}`)
}

function planNew(order: PrepareOrder, seen: SeenInstance): PreparePlan {
  const disks: DiskToComplete[] = []
  for (const disk of order.disks) {
    if (!seen.disks.includes(disk.name)) {
      if (order.disksMustExist) return diskMissing(order, disk)
      disks.push({ disk, state: { kind: 'missing' } })
      continue
    }
    const record = seen.draft?.disks.find((one) => one.name === disk.name)
    const refusal = record && judgeChange(order, disk, record)
    if (refusal) return failed(refusal.reason, `${refusal.message}. Restore the old value in the manifest`)
    disks.push({ disk, state: stateOf(disk, record, seen) })
  }
  return { kind: 'make', disks }
}

function stateOf({ image }: OrderedDisk, record: DiskRecord | undefined, seen: SeenInstance): DiskToComplete['state'] {
  if (image === undefined) return { kind: 'made', image: undefined }
  const sha256 = record?.imageSha256 ?? soleImage(seen) ?? image.sha256
  return sha256 === null ? { kind: 'unknown' } : { kind: 'made', image: { sha256, format: record?.imageFormat } }
}

/** A disk without a draft uses the only linked image. */
function soleImage(seen: SeenInstance): string | undefined {
  return seen.linkedImages.length === 1 ? seen.linkedImages[0] : undefined
}

function judgeChange(order: PrepareOrder, disk: OrderedDisk, record: DiskRecord): Failure | undefined {
  if (!isMadeFrom(disk.image, record)) {
    const from = record.imageSha256 === undefined ? 'without an image' : `from ${record.imageSource} (sha256 ${record.imageSha256})`
    const what = disk.image === undefined ? 'a blank disk' : 'a new image'
    return failed('ImageChangeRefused', `disk "${disk.name}" of ${order.vm} was created ${from}, and ${what} would destroy its data`)
  }
  if (disk.sizeBytes === record.sizeBytes) return undefined
  return failed(
    'DiskResizeUnsupported',
    `disk "${disk.name}" of ${order.vm} has ${formatBytes(record.sizeBytes)}, but the manifest has ${formatBytes(disk.sizeBytes)}; a disk cannot shrink`,
  )
}

/** If the manifest has a hash, only the content counts. An operator's file may be overwritten in place, which changes no disk. */
function isMadeFrom(image: OrderedDisk['image'], record: DiskRecord): boolean {
  if (image === undefined) return record.imageSha256 === undefined
  return image.sha256 === null ? image.source === record.imageSource : image.sha256 === record.imageSha256
}

function diskMissing(order: PrepareOrder, disk: OrderedDisk): Failure {
  return failed(
    'DiskMissing',
    `disk "${disk.name}" of ${order.vm} was created before, but is not on this node. It is not replaced by an empty disk; restore instances/${order.uid}/disks/${disk.name}.qcow2 below the state root`,
  )
}

export function isOtherInstance(order: PrepareOrder, other: VmUid): Failure {
  return failed(
    otherInstanceReason,
    `this node already has ${order.vm} in instances/${other}, so no disks were created for uid ${order.uid}`,
  )
}

/** Whether an image fits into a disk of this size. */
export function judgeSize(disk: { readonly name: string; readonly sizeBytes: number }, virtualSizeBytes: number): Failure | undefined {
  if (virtualSizeBytes <= disk.sizeBytes) return undefined
  return failed(
    'DiskSmallerThanImage',
    `the image of disk "${disk.name}" has ${formatBytes(virtualSizeBytes)}, but the disk has ${formatBytes(disk.sizeBytes)}; make the disk at least as large as the image`,
  )
}

export function failed(reason: string, message: string): Failure {
  return { kind: 'failed', reason, message }
}
