import { canonicalJson } from '../api/hash.ts'
import { type VmUid } from '../api/names.ts'
import type { PrepareOrder, PrepareStatus } from '../api/wire/agent-api.ts'
import { withSlots } from '../api/disk-slots.ts'
import { type Identity, identityText } from '../api/wire/identity.ts'
import type { Clock } from '../ports/clock.ts'
import { rfc3339 } from '../api/time.ts'
import { PortError } from '../ports/errors.ts'
import type { ImageFormat } from '../ports/image-tool.ts'
import { StateError } from '../ports/state-files.ts'
import { imageFor, recordOf } from './disk-record.ts'
import { whyNoRoom } from './disk-room.ts'
import { guestSizes } from './grown-disks.ts'
import { readDraft, readIdentity, readLayoutVersion } from './identity-file.ts'
import { otherInstance } from './inventory.ts'
import { keyedLock } from './keyed-lock.ts'
import { imageFormat } from './image-judgement.ts'
import type { ImageState } from './image-store.ts'
import { clearWork, type DiskImage, makeDisk, sweepOldRelease, unnamedDisk } from './make-disk.ts'
import { type DiskToComplete, type Failure, type SeenInstance, isOtherInstance, judgeInstance, planPrepare } from './prepare-plan.ts'
import { addDisk, replaceDisk, type ReplaceDiskOptions, settleReplacement } from './replace-disk.ts'

/**
 * Guests see the machine type as hardware, so a VM keeps its first one (identity.ts). QEMU 10.0 is the oldest version on Debian 13 that accepts KVM
 * as a descriptor.
 */
export const machineType = 'pc-q35-10.0'
const shaName = /^[0-9a-f]{64}$/

export interface PreparerOptions extends ReplaceDiskOptions {
  readonly clock: Clock
}

type Unready = Exclude<PrepareStatus, { state: 'ready' }>
type Resolved = DiskToComplete & { readonly image: DiskImage | undefined }

/**
 * Creates a VM's directories, image link, disks and identity.json. The order is draft of the identity, image link, disk, identity, so that the next
 * order can complete an interrupted run. Undefined when everything exists.
 */
export function preparer(options: PreparerOptions): (order: PrepareOrder) => Promise<Unready | undefined> {
  // By VM, because two controllers can order the same VM with two uids.
  const oneAtATime = keyedLock()
  return (order) =>
    oneAtATime(order.vm, async () => {
      try {
        return await prepareDisks(options, order)
      } catch (error) {
        if (options.signal.aborted) throw error
        return judgeError(options, order, error)
      }
    })
}

function judgeError(options: PreparerOptions, order: PrepareOrder, error: unknown): Unready {
  if (error instanceof StateError || error instanceof PortError) {
    options.log.warn({ vm: order.vm, uid: order.uid, error: error.message }, 'Cannot prepare a VM')
    return {
      state: 'failed',
      reason: error instanceof StateError ? (error.kind === 'NoSpace' ? 'InsufficientDisk' : 'StateRootError') : 'DiskError',
      message: error.message.slice(0, 2000),
    }
  }
  throw error
}

async function prepareDisks(options: PreparerOptions, order: PrepareOrder): Promise<Unready | undefined> {
  const found = await observe(options, order)
  const refusal = judgeInstance(order, found) ?? (await settle(options, order.uid, found))
  if (refusal !== undefined) return unready(refusal)
  const seen = found.draft === undefined ? found : await observe(options, order)
  const plan = planPrepare(order, seen)
  switch (plan.kind) {
    case 'failed':
      return unready(plan)
    case 'complete':
      await makeDirectories(options, order.uid)
      return undefined
    case 'make': {
      const hasNothing = seen.draft === undefined && plan.disks.every(({ state }) => state.kind === 'missing')
      const other = hasNothing ? await otherInstance(options.layout, options.files, order) : undefined
      return other === undefined ? await make(options, order, plan.disks, seen.draft) : unready(isOtherInstance(order, other))
    }
    case 'mark': {
      const why = plan.needs && (await whyNoRoom(options, plan.needs))
      if (why !== undefined) return unready(why)
      await options.files.writeAtomically(options.layout.identityFile(order.uid), identityText(plan.identity), 0o440)
      return await prepareDisks(options, order)
    }
    case 'add':
    case 'replace': {
      const why = await (plan.kind === 'add' ? addDisk(options, order, plan) : replaceDisk(options, order, plan))
      // The next call decides what is left to do.
      return why === undefined ? await prepareDisks(options, order) : unready(why)
    }
  }
}

/** Completes or drops the unfinished work of a killed agent. */
async function settle(options: PreparerOptions, uid: VmUid, { identity, draft }: SeenInstance): Promise<Failure | undefined> {
  if (identity.kind !== 'known') return undefined
  if (draft !== undefined && draft.uid === uid) return await settleReplacement(options, identity.identity, draft)
  await clearWork(options, uid)
  return undefined
}

async function observe(options: PreparerOptions, order: PrepareOrder): Promise<SeenInstance> {
  const { files, layout } = options
  const { uid } = order
  const identity = await readIdentity(files, layout.identityFile(uid))
  const known = identity.kind === 'known' ? identity.identity.disks : []
  const names = new Set([...order.disks, ...known].map((one) => one.name))
  const disks = await Promise.all(
    [...names].map(async (name) => ((await files.stat(layout.diskFile(uid, name))) === undefined ? [] : [name])),
  )
  return {
    layoutVersion: await readLayoutVersion(options),
    identity,
    draft: await readDraft(files, layout, uid),
    disks: disks.flat(),
    guestSizes: identity.kind === 'known' ? await guestSizes(options, identity.identity) : new Map(),
    linkedImages: ((await files.list(layout.instanceImages(uid))) ?? []).filter((name) => shaName.test(name)),
  }
}

async function make(
  options: PreparerOptions,
  order: PrepareOrder,
  disks: readonly DiskToComplete[],
  draft: Identity | undefined,
): Promise<Unready | undefined> {
  const resolved: Resolved[] = []
  for (const one of disks) {
    if (one.state.kind === 'made') {
      resolved.push({ ...one, image: one.state.image && (await withFormat(options, order.uid, one.state.image)) })
      continue
    }
    const found = await imageFor(options.images, one.disk, order.clusterAddresses)
    if (found.kind !== 'found') return unready(found)
    resolved.push({ ...one, image: found.image })
  }
  await complete(options, order, resolved, draft)
  return undefined
}

/** The image of a disk that may have lost its draft. Release 0.1 recorded no format and only supported qcow2. */
async function withFormat(
  { files, layout }: PreparerOptions,
  uid: VmUid,
  { sha256, format }: { readonly sha256: string; readonly format: ImageFormat | undefined },
): Promise<DiskImage> {
  if (format !== undefined) return { sha256, format }
  const start = await files.readStart(`${layout.instanceImages(uid)}/${sha256}`, 4)
  return { sha256, format: start === undefined ? 'qcow2' : imageFormat(start) }
}

async function complete(
  options: PreparerOptions,
  order: PrepareOrder,
  resolved: readonly Resolved[],
  draft: Identity | undefined,
): Promise<void> {
  const { files, layout, log } = options
  const { uid } = order
  await makeDirectories(options, uid)
  const wanted = identityOf(options, order, resolved, draft)
  const draftPath = layout.identityDraft(uid)
  if (draft === undefined || canonicalJson(draft) !== canonicalJson(wanted))
    await files.writeAtomically(draftPath, identityText(wanted), 0o640)
  await clearWork(options, uid)
  await sweepOldRelease(options, uid)
  for (const one of resolved) if (one.state.kind === 'missing') await makeFirst(options, uid, one)
  await files.writeAtomically(layout.identityFile(uid), identityText(wanted), 0o440)
  await files.remove(draftPath)
  await clearWork(options, uid)
  log.info({ vm: order.vm, uid, disks: resolved.map(({ disk }) => disk.name) }, 'Prepared a VM')
}

async function makeFirst(options: PreparerOptions, uid: VmUid, { disk, image }: Resolved): Promise<void> {
  const { files, layout, random } = options
  const fresh = unnamedDisk(layout, uid, { name: disk.name, madeAs: random.uuid() })
  await makeDisk(options, uid, { ...disk, image }, fresh)
  const path = layout.diskFile(uid, disk.name)
  if ((await files.publish(fresh, path, 0o660)) === 'exists')
    throw new StateError('Io', `${path} appeared while the disk was created; the next order checks it again`)
}

function identityOf(options: PreparerOptions, order: PrepareOrder, resolved: readonly Resolved[], draft: Identity | undefined): Identity {
  const { uid, vm, cluster } = order
  const madeAs = (name: string): string => draft?.disks.find((one) => one.name === name)?.madeAs ?? options.random.uuid()
  const disks = withSlots(resolved.map(({ disk, image }) => recordOf(disk, image, madeAs(disk.name))))
  return { version: 1, uid, vm, cluster, machineType, createdAt: draft?.createdAt ?? rfc3339(options.clock), disks }
}

async function makeDirectories({ files, layout }: PreparerOptions, uid: VmUid): Promise<void> {
  await files.makeDirectory(layout.instance(uid), 0o2750)
  await files.makeDirectory(layout.instanceImages(uid), 0o2750)
  await files.makeDirectory(layout.disks(uid), 0o2770)
  await files.makeDirectory(layout.run(uid), 0o2770)
}

function unready(state: Exclude<ImageState, { kind: 'stored' }> | Extract<Unready, { state: 'preparing' }>): Unready {
  const message = state.message.slice(0, 2000)
  return 'kind' in state && state.kind === 'failed'
    ? { state: 'failed', reason: state.reason, message }
    : { state: 'preparing', reason: state.reason, message }
}
