import type { VmUid } from '../api/names.ts'
import type { PrepareOrder, PrepareStatus } from '../api/wire/agent-api.ts'
import type { Identity } from '../api/wire/identity.ts'
import type { DiskClaims } from '../ports/disk-claims.ts'
import type { Log } from '../ports/log.ts'
import type { DiskUse } from './disk-use.ts'
import type { ImageStore, ImageState } from './image-store.ts'
import { makeDisk, type MakeDiskOptions, sweepUnfinished } from './make-disk.ts'
import { type Failure, failed, judgeSize, type Replacement } from './prepare-plan.ts'

export interface ReplaceDiskOptions extends MakeDiskOptions {
  readonly images: Pick<ImageStore, 'resolve'>
  readonly claims: DiskClaims
  /** Whether the VM is on. */
  readonly useOf: (uid: VmUid) => Promise<DiskUse>
  readonly log: Log
}

type NotReplaced = Exclude<ImageState, { kind: 'stored' }> | Extract<PrepareStatus, { state: 'preparing' }>

const complete = /^\.[a-z0-9-]+\.next-[0-9a-f-]{36}$/
const draftName = 'identity.json.draft'

/**
 * Puts a new disk in the place of others, in an order in which a crash at any point leaves one of the two whole: the new disk aside, the draft of
 * the identity, the name of the old disk for the new one, the identity. Undefined when it is done.
 */
export async function replaceDisk(options: ReplaceDiskOptions, order: PrepareOrder, plan: Replacement): Promise<NotReplaced | undefined> {
  const { uid } = order
  const use = await options.useOf(uid)
  if (use.kind !== 'off') return notOff(order, plan, use)
  const { disk } = plan
  const state = await options.images.resolve(disk.image, order.clusterAddresses)
  if (state.kind !== 'stored') return state
  const refusal = judgeSize(disk, state.image.virtualSizeBytes)
  if (refusal) return refusal
  const record = {
    name: disk.name,
    sizeBytes: disk.sizeBytes,
    imageSource: disk.image.source,
    imageSha256: state.image.sha256,
    imageFormat: state.image.format,
    madeAs: options.random.uuid(),
  }
  await sweepUnfinished(options, uid)
  await sweepUnfinished(options, uid, complete)
  await makeDisk(options, uid, { ...disk, ...state.image }, asidePath(options, uid, record))
  const refused = await whileClaimed(options, order, plan, () => swap(options, plan.identity, identityWith(plan, record), record))
  if (refused) await options.files.remove(asidePath(options, uid, record))
  return refused
}

function notOff(order: PrepareOrder, { disk }: Replacement, use: Exclude<DiskUse, { kind: 'off' }>): NotReplaced {
  if (use.kind === 'unknown') {
    const message = `disk "${disk.name}" is replaced when it is certain that ${order.vm} is off: ${use.message}`
    return { state: 'preparing', reason: 'BrokerUnavailable', message: message.slice(0, 2000) }
  }
  return inUse(order, disk.name, use.message)
}

function inUse(order: PrepareOrder, disk: string, why: string): Failure {
  return failed(
    'DiskInUse',
    `disk "${disk}" of ${order.vm} is to be replaced, and the VM is on (${why}). Halt it first, with runStrategy: Halted; the disk is replaced as soon as it is off`,
  )
}

/** Between the look at the VM and the swap it may have been started: the lock of the old disk is what counts. */
async function whileClaimed(
  { claims, layout }: ReplaceDiskOptions,
  order: PrepareOrder,
  { there, disk }: Replacement,
  run: () => Promise<void>,
): Promise<Failure | undefined> {
  const releases: (() => Promise<void>)[] = []
  try {
    for (const { name } of there) {
      const claim = await claims.claim(layout.diskFile(order.uid, name))
      if (claim.kind === 'inUse') return inUse(order, disk.name, `a QEMU has disk "${name}" open`)
      releases.push(() => claim.release())
    }
    await run()
    return undefined
  } finally {
    for (const release of releases) await release()
  }
}

function identityWith({ identity, there, disk }: Replacement, record: Identity['disks'][number]): Identity {
  const gone = new Set(there.map((one) => one.name))
  const at = identity.disks.findIndex((one) => gone.has(one.name) || one.name === disk.name)
  const kept = identity.disks.filter((one) => !gone.has(one.name))
  return { ...identity, disks: kept.toSpliced(Math.max(0, at), 0, record) }
}

async function swap(options: ReplaceDiskOptions, before: Identity, after: Identity, record: Identity['disks'][number]): Promise<void> {
  const { files, layout, log } = options
  const { uid } = before
  await files.writeAtomically(`${layout.instance(uid)}/${draftName}`, JSON.stringify(after, null, 2), 0o640)
  await files.replace(asidePath(options, uid, record), layout.diskFile(uid, record.name))
  await finish(options, before, after)
  log.info({ vm: before.vm, uid, disk: record.name, image: record.imageSource }, 'Replaced a disk')
}

/** The new disk has its name: what it stands in the place of goes, and the identity says so. */
async function finish({ files, layout }: ReplaceDiskOptions, before: Identity, after: Identity): Promise<void> {
  const { uid } = before
  const names = new Set(after.disks.map((one) => one.name))
  for (const { name } of before.disks) if (!names.has(name)) await files.remove(layout.diskFile(uid, name))
  await files.writeAtomically(layout.identityFile(uid), `${JSON.stringify(after, null, 2)}\n`, 0o440)
  await files.remove(`${layout.instance(uid)}/${draftName}`)
  const images = new Set(after.disks.map((one) => one.imageSha256))
  for (const { imageSha256 } of before.disks)
    if (!images.has(imageSha256)) await files.remove(`${layout.instanceImages(uid)}/${imageSha256}`)
}

/**
 * What an agent that was killed in the middle left. The draft is written after the new disk is complete: where that still lies aside the old disk
 * is there, and the edit begins anew if it is still wanted; where it has its name already the rest is done.
 */
export async function settleReplacement(options: ReplaceDiskOptions, identity: Identity, draft: Identity): Promise<void> {
  const { files, layout, log } = options
  const { uid } = identity
  const record = draft.disks.find((one) => one.madeAs !== undefined && !identity.disks.some(({ madeAs }) => madeAs === one.madeAs))
  const swapped =
    record !== undefined &&
    (await files.stat(asidePath(options, uid, record))) === undefined &&
    (await files.stat(layout.diskFile(uid, record.name))) !== undefined
  if (swapped) {
    log.info({ vm: identity.vm, uid, disk: record.name }, 'Finished the replacement of a disk that was interrupted')
    return await finish(options, identity, draft)
  }
  if (record !== undefined) await files.remove(asidePath(options, uid, record))
  await files.remove(`${layout.instance(uid)}/${draftName}`)
}

function asidePath({ layout }: ReplaceDiskOptions, uid: VmUid, { name, madeAs = '' }: Identity['disks'][number]): string {
  return `${layout.disks(uid)}/.${name}.next-${madeAs}`
}
