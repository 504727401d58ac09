import { formatBytes } from '../api/quantity.ts'
import { layoutVersion } from '../api/layout.ts'
import { replaceLine, replaceToken } from '../api/replace-disks.ts'
import type { PrepareOrder } from '../api/wire/agent-api.ts'
import type { Identity } from '../api/wire/identity.ts'
import type { ImageFormat } from '../ports/image-tool.ts'

type OrderedDisk = PrepareOrder['disks'][number]
export type ImageReference = OrderedDisk['image']
type DiskRecord = Identity['disks'][number]

/** What lies on disk of one VM. */
export interface SeenInstance {
  /** `layout.json`'s; undefined where there is none that can be read. */
  readonly layoutVersion: number | undefined
  readonly identity:
    | { readonly kind: 'absent' }
    | { readonly kind: 'known'; readonly identity: Identity }
    | { readonly kind: 'unreadable'; readonly message: string }
  /** What an interrupted preparation meant to become identity.json. */
  readonly draft: Identity | undefined
  /** Names of the disks whose file exists. */
  readonly disks: readonly string[]
  /** SHA-256 of the images linked into the instance. */
  readonly linkedImages: readonly string[]
}

export interface Failure {
  readonly kind: 'failed'
  readonly reason: string
  readonly message: string
}

/** One disk of a VM that is not complete. */
export interface DiskToComplete {
  readonly name: string
  readonly sizeBytes: number
  readonly source: string
  /** `made`: the file is there, made from `sha256`, of the format that the draft names if it names one; `missing`: to be made from what `image` resolves to. */
  readonly state:
    | { readonly kind: 'made'; readonly sha256: string; readonly format: ImageFormat | undefined }
    | { readonly kind: 'unknown' }
    | { readonly kind: 'missing' }
  readonly image: ImageReference
}

/** A disk that is to stand in the place of others, which the manifest allowed in so many words. */
export interface Replacement {
  readonly kind: 'replace'
  readonly disk: OrderedDisk
  /** Of the disks that go. */
  readonly there: readonly DiskRecord[]
  readonly identity: Identity
}

export type PreparePlan =
  | Failure
  | { readonly kind: 'complete' }
  | { readonly kind: 'make'; readonly disks: readonly DiskToComplete[] }
  | Replacement

/**
 * Decides what an order means for what is there. identity.json is written last, so it proves that every disk was made once: with it nothing
 * is ever made again, but for an edit that the manifest allows to destroy what is there; without it whatever is there is completed, never wiped.
 */
export function planPrepare(order: PrepareOrder, seen: SeenInstance): PreparePlan {
  return (
    judgeInstance(order, seen) ?? (seen.identity.kind === 'known' ? planKnown(order, seen.identity.identity, seen) : planNew(order, seen))
  )
}

/** Why nothing may be done in this directory for this order, not even to complete what was begun. */
export function judgeInstance(order: PrepareOrder, seen: SeenInstance): Failure | undefined {
  return judgeLayout(seen) ?? judgeOwner(order, seen)
}

export function judgeLayout(seen: Pick<SeenInstance, 'layoutVersion'>): Failure | undefined {
  if (seen.layoutVersion === layoutVersion) return undefined
  if (seen.layoutVersion === undefined)
    return failed('LayoutMissing', 'the state root has no layout.json that can be read; run install-node on this node')
  return failed(
    'LayoutUnsupported',
    `the state root has layout version ${seen.layoutVersion}, this agent knows ${layoutVersion}; update swarmvirt on this node`,
  )
}

function judgeOwner(order: PrepareOrder, seen: SeenInstance): Failure | undefined {
  if (seen.identity.kind === 'unreadable')
    return failed('IdentityUnreadable', `identity.json of ${order.uid} cannot be understood: ${seen.identity.message}`)
  const held = seen.identity.kind === 'known' ? seen.identity.identity : seen.draft
  if (held === undefined || (held.uid === order.uid && held.vm === order.vm && held.cluster === order.cluster)) return undefined
  return failed(
    'IdentityMismatch',
    `the directory of ${order.uid} belongs to VM ${held.vm} of cluster "${held.cluster}", not to ${order.vm} of "${order.cluster}"; nothing was touched`,
  )
}

function planKnown(order: PrepareOrder, identity: Identity, seen: SeenInstance): PreparePlan {
  for (const disk of order.disks) {
    const verdict = judgeKnown(order, disk, identity, seen)
    if (verdict) return verdict
  }
  return { kind: 'complete' }
}

function judgeKnown(order: PrepareOrder, disk: OrderedDisk, identity: Identity, seen: SeenInstance): Failure | Replacement | undefined {
  const record = identity.disks.find((one) => one.name === disk.name)
  if (record !== undefined && !seen.disks.includes(disk.name)) return diskMissing(order, disk)
  // Where a disk has no name any more, the new one is taken for what it is renamed to.
  const there = record === undefined ? identity.disks.filter((one) => !order.disks.some(({ name }) => name === one.name)) : [record]
  const refusal = record === undefined ? judgeOther(order, disk, there, seen) : judgeChange(order, disk, record)
  return refusal && replaceable.has(refusal.reason) ? allowed(order, disk, identity, there, refusal) : refusal
}

const replaceable: ReadonlySet<string> = new Set(['ImageChangeRefused', 'DiskResizeUnsupported', 'DiskRenameRefused'])

/** A disk by a name that the VM was made without. */
function judgeOther(order: PrepareOrder, disk: OrderedDisk, there: readonly DiskRecord[], seen: SeenInstance): Failure {
  if (there.length === 0)
    return failed('DiskAddUnsupported', `${order.vm} was made without a disk "${disk.name}"; adding one is not supported yet`)
  if (seen.disks.includes(disk.name)) {
    const path = `instances/${order.uid}/disks/${disk.name}.qcow2`
    return failed('DiskError', `${path} below the state root is no disk that was made for ${order.vm}; move it away`)
  }
  const names = there.map((one) => `"${one.name}"`).join(', ')
  return failed('DiskRenameRefused', `the manifest names disk "${disk.name}" and not ${names} of ${order.vm}: that is another, empty disk`)
}

/** The manifest's word counts for this edit of this disk as it was made, and for no other. */
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
  const how = `to lose what is on the disk and have a new one, halt the VM and add to metadata.annotations: ${replaceLine(disk.name, token)}`
  return failed(
    refusal.reason,
    `${refusal.message}. The VM keeps running with its disk. Put the old value back into the manifest; or, ${how}`,
  )
}

function planNew(order: PrepareOrder, seen: SeenInstance): PreparePlan {
  const disks: DiskToComplete[] = []
  for (const disk of order.disks) {
    const entry = { name: disk.name, sizeBytes: disk.sizeBytes, source: disk.image.source, image: disk.image }
    if (!seen.disks.includes(disk.name)) {
      if (order.disksMustExist) return diskMissing(order, disk)
      disks.push({ ...entry, state: { kind: 'missing' } })
      continue
    }
    const record = seen.draft?.disks.find((one) => one.name === disk.name)
    const refusal = record && judgeChange(order, disk, record)
    if (refusal) return failed(refusal.reason, `${refusal.message}. Put the old value back into the manifest`)
    const sha256 = record?.imageSha256 ?? soleImage(seen) ?? disk.image.sha256
    disks.push({ ...entry, state: sha256 === null ? { kind: 'unknown' } : { kind: 'made', sha256, format: record?.imageFormat } })
  }
  return { kind: 'make', disks }
}

/** A disk that no draft speaks of stands on the one image that was linked for it. */
function soleImage(seen: SeenInstance): string | undefined {
  return seen.linkedImages.length === 1 ? seen.linkedImages[0] : undefined
}

function judgeChange(order: PrepareOrder, disk: OrderedDisk, record: DiskRecord): Failure | undefined {
  const { source, sha256 } = disk.image
  // The content is what counts where it is named; an operator's file may be overwritten in place, which changes no disk.
  const changed = sha256 === null ? source !== record.imageSource : sha256 !== record.imageSha256
  if (changed) {
    return failed(
      'ImageChangeRefused',
      `disk "${disk.name}" of ${order.vm} was made from ${record.imageSource} (sha256 ${record.imageSha256}) and a new image would destroy what is on it`,
    )
  }
  if (disk.sizeBytes === record.sizeBytes) return undefined
  return failed(
    'DiskResizeUnsupported',
    `disk "${disk.name}" of ${order.vm} has ${formatBytes(record.sizeBytes)} and the manifest says ${formatBytes(disk.sizeBytes)}; resizing is not supported yet`,
  )
}

function diskMissing(order: PrepareOrder, disk: OrderedDisk): Failure {
  return failed(
    'DiskMissing',
    `disk "${disk.name}" of ${order.vm} was made before and is not on this node; no empty one is made in its place. Bring back instances/${order.uid}/disks/${disk.name}.qcow2 below the state root`,
  )
}

/** Whether an image fits under a disk of this size. */
export function judgeSize(disk: { readonly name: string; readonly sizeBytes: number }, virtualSizeBytes: number): Failure | undefined {
  if (virtualSizeBytes <= disk.sizeBytes) return undefined
  return failed(
    'DiskSmallerThanImage',
    `the image of disk "${disk.name}" holds ${formatBytes(virtualSizeBytes)} and the disk is to have ${formatBytes(disk.sizeBytes)}; give it at least the image's size`,
  )
}

export function failed(reason: string, message: string): Failure {
  return { kind: 'failed', reason, message }
}
