import type { Layout } from '../api/layout.ts'
import { isUid, partNamePattern, type VmName, type VmUid } from '../api/names.ts'
import type { InstanceRecord } from '../api/wire/agent-api.ts'
import { StateError, type StateFiles } from '../ports/state-files.ts'
import type { DiskRecord } from '../api/wire/identity.ts'
import type { Grants } from './grants.ts'
import { readOwner } from './identity-file.ts'

/** Limit for names in the disks directory, since a runner can create any number of files there. */
const maxDisks = 64
const maxNames = 1_024

/** Whether this node has a directory of the VM. Throws StateError if the parent directory is missing: an unmounted state root is not an absence. */
export async function hasInstance(layout: Layout, files: Pick<StateFiles, 'stat'>, uid: VmUid): Promise<boolean> {
  if ((await files.stat(layout.instance(uid))) !== undefined) return true
  if ((await files.stat(layout.instances))?.kind !== 'directory') throw instancesMissing(layout)
  return false
}

function instancesMissing({ instances }: Layout): StateError {
  return new StateError('Io', `${instances} is missing; mount the state root of this node, or run install-node on it`)
}

/**
 * Lists every instance directory of this node. Its name alone means that a VM's disk may be here. Disks are only checked with stat, since a runner
 * could have changed their content. Throws StateError: an unreadable entry is not an absence.
 */
export async function readInventory(layout: Layout, files: StateFiles, grants: Pick<Grants, 'uids'>): Promise<InstanceRecord[]> {
  const names = await files.list(layout.instances)
  if (names === undefined) throw instancesMissing(layout)
  const granted = new Set(await grants.uids())
  const records: InstanceRecord[] = []
  for (const uid of names.filter(isUid)) {
    const record = await readInstance(layout, files, uid)
    if (record) records.push({ ...record, granted: granted.has(uid) })
  }
  return records
}

/** Another instance directory of the same VM. An order with a new uid must not create disks beside it. Throws StateError. */
export async function otherInstance(
  layout: Layout,
  files: Pick<StateFiles, 'list' | 'readText'>,
  order: { readonly uid: VmUid; readonly vm: VmName; readonly cluster: string },
): Promise<VmUid | undefined> {
  for (const uid of (await files.list(layout.instances)) ?? []) {
    if (uid === order.uid || !isUid(uid)) continue
    const { seen } = await readOwner(files, layout, uid)
    if (seen.kind === 'known' && seen.identity.vm === order.vm && seen.identity.cluster === order.cluster) return uid
  }
  return undefined
}

async function readInstance(layout: Layout, files: StateFiles, uid: VmUid): Promise<Omit<InstanceRecord, 'granted'> | undefined> {
  if ((await files.stat(layout.instance(uid)))?.kind !== 'directory') return undefined
  const { seen, unfinished } = await readOwner(files, layout, uid)
  const identity = seen.kind === 'known' ? seen.identity : undefined
  const disks: InstanceRecord['disks'] = []
  // Recorded disks come first, so that other files cannot displace them.
  const names = new Set([...(identity?.disks ?? []).map((disk) => disk.name), ...(await listedDisks(layout, files, uid))])
  for (const name of [...names].slice(0, maxDisks)) {
    const fact = await files.stat(layout.diskFile(uid, name))
    if (fact?.kind !== 'file') continue
    const made = identity?.disks.find((disk) => disk.name === name)
    disks.push({ name, sizeBytes: made?.sizeBytes ?? fact.sizeBytes, allocatedBytes: fact.allocatedBytes, ...originOf(made) })
  }
  return { uid, vm: identity?.vm ?? null, cluster: identity?.cluster ?? null, disks, ...(unfinished ? { unfinished } : {}) }
}

function originOf(made: DiskRecord | undefined): Pick<InstanceRecord['disks'][number], 'image' | 'blank' | 'removed'> {
  if (made === undefined) return {}
  const origin =
    made.imageSha256 === undefined ? { blank: true as const } : { image: { source: made.imageSource, sha256: made.imageSha256 } }
  return made.removed === true ? { ...origin, removed: true } : origin
}

/** Returns only valid disk names. Another name may not even form a valid path. */
export async function listedDisks(layout: Layout, files: StateFiles, uid: VmUid): Promise<string[]> {
  const names = (await files.list(layout.disks(uid), maxNames)) ?? []
  return names
    .filter((name) => name.endsWith('.qcow2'))
    .map((name) => name.slice(0, -'.qcow2'.length))
    .filter((name) => partNamePattern.test(name))
}
