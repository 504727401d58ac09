import type { Layout } from '../api/layout.ts'
import type { VmUid } from '../api/names.ts'
import type { DeleteDisksOrder, DeletionStatus } from '../api/wire/delete-disks.ts'
import type { DiskClaims } from '../ports/disk-claims.ts'
import type { Log } from '../ports/log.ts'
import type { StateFiles } from '../ports/state-files.ts'
import type { DiskUse } from './disk-use.ts'
import { listedDisks } from './inventory.ts'
import { readIdentity } from './preparer.ts'
import type { SeenInstance } from './prepare-plan.ts'

export interface DeleteDisksOptions {
  readonly layout: Layout
  readonly files: StateFiles
  readonly claims: DiskClaims
  /** Whether the VM is on. */
  readonly useOf: (uid: VmUid) => Promise<DiskUse>
  readonly log: Log
}

type NotGone = Exclude<DeletionStatus, { state: 'gone' }>

/**
 * Deletes the disks of a VM that is off, whose grant was taken back before. Disks first and the identity last: whoever is interrupted in between
 * leaves something that the same order completes, and never disks that nobody can name. Throws StateError.
 */
export async function deleteDisks(options: DeleteDisksOptions, order: DeleteDisksOrder): Promise<DeletionStatus> {
  const { layout, files, useOf, log } = options
  const { uid } = order
  if ((await files.stat(layout.instance(uid))) === undefined) return { state: 'gone' }
  const identity = await readIdentity(files, layout.identityFile(uid))
  const disks = await listedDisks(layout, files, uid)
  const refusal = judgeIdentity(order, identity, disks, layout)
  if (refusal !== undefined) return refusal
  const use = await useOf(uid)
  if (use.kind !== 'off') return waiting(order, use.kind === 'on' ? 'DiskInUse' : 'BrokerUnavailable', use.message)
  const held = await removeDisks(options, order, disks)
  if (held !== undefined) return held
  await removeRest(options, uid)
  log.info({ vm: order.vm, uid, disks }, 'Deleted the disks of a VM')
  return { state: 'gone' }
}

/** What its files say, and nothing else, tells whose disks they are. Without any disk there is nothing that could be another VM's. */
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
  const what = seen.kind === 'absent' ? 'is missing' : `cannot be understood (${seen.message})`
  return failed(
    'IdentityUnreadable',
    `${layout.identityFile(order.uid)} ${what}, so nobody can say whose the disks are: restore it, or delete them by hand`,
  )
}

/** Between the look at the VM and this it may have been started: the locks of the disks are what counts, and all are held before the first goes. */
async function removeDisks(
  { files, layout, claims }: DeleteDisksOptions,
  order: DeleteDisksOrder,
  disks: readonly string[],
): Promise<NotGone | undefined> {
  const paths = disks.map((name) => layout.diskFile(order.uid, name))
  const releases: (() => Promise<void>)[] = []
  try {
    for (const path of paths) {
      // What is no file is no disk that a QEMU of ours has open.
      if ((await files.stat(path))?.kind !== 'file') continue
      const claim = await claims.claim(path)
      if (claim.kind === 'inUse') return waiting(order, 'DiskInUse', `a process has ${path} open`)
      releases.push(() => claim.release())
    }
    for (const path of paths) await files.remove(path)
    return undefined
  } finally {
    for (const release of releases) await release()
  }
}

/** Only what agent and runner make there. A directory with anything else in it stays, and is nobody's disk. */
async function removeRest({ files, layout }: DeleteDisksOptions, uid: VmUid): Promise<void> {
  const ours: readonly (readonly [directory: string, names: RegExp])[] = [
    [layout.disks(uid), /^\.[a-z0-9-]+\.(new|next)-[0-9a-f-]{36}$/],
    [layout.instanceImages(uid), /^[0-9a-f]{64}$/],
    [layout.run(uid), /^[a-z0-9.-]+$/],
    [layout.instance(uid), /^(addresses\.json|identity\.json\.draft)$/],
  ]
  for (const [directory, names] of ours)
    for (const name of (await files.list(directory, mostNames)) ?? [])
      if (names.test(name) && (await files.stat(`${directory}/${name}`))?.kind !== 'directory') await files.remove(`${directory}/${name}`)
  await files.remove(layout.identityFile(uid))
  for (const directory of [layout.disks(uid), layout.instanceImages(uid), layout.run(uid), layout.instance(uid)])
    await files.removeEmptyDirectory(directory)
}

/** A runner can fill its own directories. */
const mostNames = 1_024

function waiting({ vm }: DeleteDisksOrder, reason: string, why: string): NotGone {
  return { state: 'waiting', reason, message: `the disks of ${vm} are deleted when it is certain that it is off: ${why}`.slice(0, 2000) }
}

function failed(reason: string, message: string): NotGone {
  return { state: 'failed', reason, message: message.slice(0, 2000) }
}
