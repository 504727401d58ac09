import type { VmUid } from '../api/names.ts'
import type { PrepareOrder, PrepareStatus } from '../api/wire/agent-api.ts'
import { withSlots } from '../api/disk-slots.ts'
import { type DiskRecord, type Identity, identityText } from '../api/wire/identity.ts'
import type { DiskClaims } from '../ports/disk-claims.ts'
import type { Log } from '../ports/log.ts'
import { whileClaimed } from './claim-disks.ts'
import type { DiskUse } from './disk-use.ts'
import type { ImageStore, ImageState } from './image-store.ts'
import { imageFor, recordOf } from './disk-record.ts'
import { clearWork, makeDisk, type MakeDiskOptions, unnamedDisk } from './make-disk.ts'
import { whyNoRoom } from './disk-room.ts'
import { type Addition, type Failure, failed, type Replacement } from './prepare-plan.ts'

export interface ReplaceDiskOptions extends MakeDiskOptions {
  readonly images: Pick<ImageStore, 'resolve'>
  readonly claims: DiskClaims
  /** Whether the VM is running. */
  readonly useOf: (uid: VmUid) => Promise<DiskUse>
  readonly log: Log
}

type NotReplaced = Exclude<ImageState, { kind: 'stored' }> | Extract<PrepareStatus, { state: 'preparing' }>

/**
 * Replaces old disks by a new one. The steps are: create the unnamed new disk, write the identity draft, rename the new disk to its final name, write
 * the identity. After a crash, the old or the new disk is complete. A draft without an unnamed disk proves that the old disk is gone, so a rollback
 * removes the draft first. Undefined when done.
 */
export async function replaceDisk(options: ReplaceDiskOptions, order: PrepareOrder, plan: Replacement): Promise<NotReplaced | undefined> {
  const { uid } = order
  const use = await options.useOf(uid)
  if (use.kind !== 'off') return notOff(order, plan, use)
  const made = await makeUnnamed(options, order, plan.disk)
  if (made.kind !== 'made') return made
  const { record } = made
  const busy = await whileClaimed(options, uid, () => swap(options, plan.identity, identityWith(plan, record), record))
  if (busy === undefined) return undefined
  await drop(options, plan.identity, record)
  return inUse(order.vm, plan.disk.name, busy)
}

/** Adds a disk beside the others, in the same steps. The VM may be running, since no other file changes. Undefined when done. */
export async function addDisk(options: ReplaceDiskOptions, order: PrepareOrder, plan: Addition): Promise<NotReplaced | undefined> {
  const made = (await whyNoRoom(options, plan.disk)) ?? (await makeUnnamed(options, order, plan.disk))
  if (made.kind !== 'made') return made
  await swap(options, plan.identity, identityWith({ ...plan, there: [] }, made.record), made.record)
  return undefined
}

async function makeUnnamed(
  options: ReplaceDiskOptions,
  { uid, clusterAddresses }: PrepareOrder,
  disk: Replacement['disk'],
): Promise<{ readonly kind: 'made'; readonly record: DiskRecord } | Exclude<ImageState, { kind: 'stored' }>> {
  const found = await imageFor(options.images, disk, clusterAddresses)
  if (found.kind !== 'found') return found
  const record = recordOf(disk, found.image, options.random.uuid())
  await clearWork(options, uid)
  await makeDisk(options, uid, { ...disk, ...found }, unnamedDisk(options.layout, uid, record))
  return { kind: 'made', record }
}

function notOff(order: PrepareOrder, { disk }: Replacement, use: Exclude<DiskUse, { kind: 'off' }>): NotReplaced {
  if (use.kind === 'unknown') {
    const message = `disk "${disk.name}" will be replaced once ${order.vm} is off: ${use.message}`
    return { state: 'preparing', reason: 'BrokerUnavailable', message: message.slice(0, 2000) }
  }
  return inUse(order.vm, disk.name, use.message)
}

function inUse(vm: string, disk: string, why: string): Failure {
  return failed(
    'DiskInUse',
    `disk "${disk}" of ${vm} cannot be replaced while the VM is running (${why}). Set runStrategy: Halted; the disk is replaced once the VM is off`,
  )
}

/** The new disk gets the slot of the first one that it replaces, or a free one. */
function identityWith({ identity, there }: Pick<Replacement, 'identity' | 'there'>, record: DiskRecord): Identity {
  const gone = new Set(there.map((one) => one.name))
  const before = withSlots(identity.disks)
  const [slot] = before.flatMap((one) => (gone.has(one.name) ? one.slot : []))
  const kept = before.filter((one) => !gone.has(one.name))
  return { ...identity, disks: withSlots([...kept, slot === undefined ? record : { ...record, slot }]) }
}

async function swap(options: ReplaceDiskOptions, before: Identity, after: Identity, record: DiskRecord): Promise<void> {
  const { files, layout, log } = options
  const { uid } = before
  await files.writeAtomically(layout.identityDraft(uid), identityText(after), 0o640)
  await files.replace(unnamedDisk(layout, uid, record), layout.diskFile(uid, record.name))
  await finish(options, before, after)
  log.info({ vm: before.vm, uid, disk: record.name, image: record.imageSource }, 'Created a disk of an existing VM')
}

/**
 * The new disk has its final name. Removes the replaced disks, then writes the identity, which is the last record of them. Every step can be
 * repeated.
 */
async function finish(options: ReplaceDiskOptions, before: Identity, after: Identity): Promise<void> {
  const { files, layout } = options
  const { uid } = before
  for (const { name } of replacedNames(before, after)) await files.remove(layout.diskFile(uid, name))
  for (const record of before.disks) await unlinkImage(options, after, record)
  await files.writeAtomically(layout.identityFile(uid), identityText(after), 0o440)
  await files.remove(layout.identityDraft(uid))
  await clearWork(options, uid)
}

/**
 * The new disk has no final name, so the old one stays. Removes the draft first: without the unnamed disk, the draft would mean that the rename was
 * done.
 */
async function drop(options: ReplaceDiskOptions, kept: Identity, record: DiskRecord): Promise<void> {
  await unlinkImage(options, kept, record)
  await options.files.remove(options.layout.identityDraft(kept.uid))
  await clearWork(options, kept.uid)
}

/** Removes the VM's link to the image of a removed disk, unless another disk uses it. */
async function unlinkImage({ files, layout }: ReplaceDiskOptions, { uid, disks }: Identity, { imageSha256 }: DiskRecord): Promise<void> {
  if (imageSha256 !== undefined && disks.every((one) => one.imageSha256 !== imageSha256))
    await files.remove(`${layout.instanceImages(uid)}/${imageSha256}`)
}

/** A removed disk is never replaced: without its file, it only gave its slot up (prepare-plan.ts). */
function replacedNames(before: Identity, after: Identity): readonly DiskRecord[] {
  return before.disks.filter((one) => one.removed !== true && !after.disks.some(({ name }) => name === one.name))
}

/**
 * Completes or drops the work of a killed agent. If the new disk is still unnamed, it is dropped, and the order starts again. If it has its name, the
 * replacement is completed. If the VM was started meanwhile with a disk to remove, this waits.
 */
export async function settleReplacement(options: ReplaceDiskOptions, identity: Identity, draft: Identity): Promise<Failure | undefined> {
  const { files, layout, log } = options
  const { uid } = identity
  const record = draft.disks.find((one) => one.madeAs !== undefined && !identity.disks.some(({ madeAs }) => madeAs === one.madeAs))
  if (record !== undefined && (await files.stat(unnamedDisk(layout, uid, record))) !== undefined) {
    await drop(options, identity, record)
    return undefined
  }
  if (replacedNames(identity, draft).length === 0) await finish(options, identity, draft)
  else {
    const busy = await whileClaimed(options, uid, () => finish(options, identity, draft))
    if (busy !== undefined) return inUse(identity.vm, record?.name ?? '', busy)
  }
  log.info({ vm: identity.vm, uid, disk: record?.name }, 'Finished an interrupted change of a disk')
  return undefined
}
