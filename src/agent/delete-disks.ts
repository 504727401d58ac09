import type { Layout } from '../api/layout.ts'
import type { VmUid } from '../api/names.ts'
import type { DeleteDisksOrder, DeletionStatus } from '../api/wire/delete-disks.ts'
import type { DiskClaims } from '../ports/disk-claims.ts'
import type { Log } from '../ports/log.ts'
import type { StateFiles } from '../ports/state-files.ts'
import { whileClaimed } from './claim-disks.ts'
import type { DiskUse } from './disk-use.ts'
import { hasInstance, listedDisks } from './inventory.ts'
import { clearWork } from './make-disk.ts'
import { readLayoutVersion, readOwner } from './identity-file.ts'
import { judgeLayout, type SeenInstance } from './prepare-plan.ts'

export interface DeleteDisksOptions {
  readonly layout: Layout
  readonly files: StateFiles
  readonly claims: DiskClaims
  /** Whether the VM is running. */
  readonly useOf: (uid: VmUid) => Promise<DiskUse>
  readonly log: Log
}

type NotGone = Exclude<DeletionStatus, { state: 'gone' }>

/**
 * Deletes the disks of a VM that is off and has no grant. The disks go first and the identity last, so that the same order can complete an
 * interrupted deletion, and every remaining disk still has its identity. Throws StateError.
 */
export async function deleteDisks(options: DeleteDisksOptions, order: DeleteDisksOrder): Promise<DeletionStatus> {
  const { layout, files, useOf, log } = options
  const { uid } = order
  const unusable = judgeLayout({ layoutVersion: await readLayoutVersion(options) })
  if (unusable !== undefined) return failed(unusable.reason, unusable.message)
  if (!(await hasInstance(layout, files, uid))) return { state: 'gone' }
  const { seen } = await readOwner(files, layout, uid)
  const refusal = judgeIdentity(order, seen, await listedDisks(layout, files, uid), layout)
  if (refusal !== undefined) return refusal
  const use = await useOf(uid)
  if (use.kind !== 'off') return waiting(order, use.kind === 'on' ? 'DiskInUse' : 'BrokerUnavailable', use.message)
  const busy = await whileClaimed(options, uid, () => removeAll(options, uid))
  if (busy !== undefined) return waiting(order, 'DiskInUse', busy)
  log.info({ vm: order.vm, uid }, 'Deleted the disks of a VM')
  return { state: 'gone' }
}

/** Only identity.json says who owns the disks. Without any disk, nothing can belong to another VM. */
function judgeIdentity(
  order: DeleteDisksOrder,
  seen: SeenInstance['identity'],
  disks: readonly string[],
  layout: Layout,
): NotGone | undefined {
  if (seen.kind === 'known') {
    const { uid, vm, cluster } = seen.identity
    if (uid === order.uid && vm === order.vm && cluster === order.cluster) return undefined
    return failed('IdentityMismatch', `instances/${order.uid} belongs to ${vm} of cluster ${cluster}; nothing was deleted`)
  }
  if (disks.length === 0) return undefined
  const what = seen.kind === 'absent' ? 'is missing' : `is invalid (${seen.message})`
  return failed(
    'IdentityUnreadable',
    `${layout.identityFile(order.uid)} ${what}, so the owner of the disks is unknown; restore it, or delete the disks manually`,
  )
}

/** Removes only files that the agent and the runner create. A directory with other files stays, and does not count as a disk. */
async function removeAll({ files, layout }: DeleteDisksOptions, uid: VmUid): Promise<void> {
  const ours: readonly (readonly [directory: string, names: RegExp])[] = [
    [layout.disks(uid), /^\.?[a-z0-9-]+\.(qcow2|(new|next)-[0-9a-f-]{36})$/],
    [layout.run(uid), /^[a-z0-9.-]+$/],
    [layout.firmware(uid), /^\.?[A-Za-z0-9.-]+$/],
    [layout.instanceImages(uid), /^[0-9a-f]{64}$/],
    [layout.instanceIsos(uid), /^[0-9a-f]{64}$/],
  ]
  // A runner that is still alive can create no more files. A file created after the identity is gone would have no owner.
  for (const directory of [layout.disks(uid), layout.run(uid), layout.firmware(uid)])
    if ((await files.stat(directory)) !== undefined) await files.makeDirectory(directory, 0o2700)
  await clearWork({ files, layout }, uid)
  for (const [directory, names] of ours) {
    await removeFiles(files, directory, names)
    await files.removeEmptyDirectory(directory)
  }
  await removeFiles(
    files,
    layout.instance(uid),
    /^(addresses\.json|boot-files\.json|live\.json|nic-slots\.json|identity\.json\.draft|[a-z.-]+\.tmp-[0-9a-f]{12})$/,
  )
  await files.remove(layout.identityFile(uid))
  await files.removeEmptyDirectory(layout.instance(uid))
}

/** Lists a limited number of names at a time, since a runner can fill its directories. */
async function removeFiles(files: StateFiles, directory: string, names: RegExp): Promise<void> {
  for (let removed = -1; removed !== 0; ) {
    removed = 0
    for (const name of (await files.list(directory, namesAtOnce)) ?? []) {
      if (!names.test(name) || (await files.stat(`${directory}/${name}`))?.kind === 'directory') continue
      await files.remove(`${directory}/${name}`)
      removed += 1
    }
  }
}

const namesAtOnce = 1_024

function waiting({ vm }: DeleteDisksOrder, reason: string, why: string): NotGone {
  return { state: 'waiting', reason, message: `the disks of ${vm} will be deleted once the VM is off: ${why}`.slice(0, 2000) }
}

function failed(reason: string, message: string): NotGone {
  return { state: 'failed', reason, message: message.slice(0, 2000) }
}
