import type { Layout } from '../api/layout.ts'
import type { VmUid } from '../api/names.ts'
import type { ImageFormat, ImageTool } from '../ports/image-tool.ts'
import type { Random } from '../ports/random.ts'
import type { StateFiles } from '../ports/state-files.ts'

export interface MakeDiskOptions {
  readonly layout: Layout
  readonly files: StateFiles
  readonly tool: ImageTool
  readonly random: Random
  readonly signal: AbortSignal
}

/** Names of new disks in release 0.1. */
const unfinishedOfOldRelease = /^\.[a-z0-9-]+\.new-[0-9a-f-]{36}$/
const maxNames = 1_024

/** The stored image that a disk is created from. */
export interface DiskImage {
  readonly sha256: string
  readonly format: ImageFormat
}

/**
 * Creates an overlay over a stored image, or a blank disk, in the agent's own directory of the VM, where no runner can interfere. It is synced to
 * disk when this resolves.
 */
export async function makeDisk(
  { files, layout, tool, signal }: MakeDiskOptions,
  uid: VmUid,
  { sizeBytes, image }: { readonly sizeBytes: number; readonly image: DiskImage | undefined },
  path: string,
): Promise<void> {
  if (image !== undefined) await files.link(layout.storedImage(image.sha256), `${layout.instanceImages(uid)}/${image.sha256}`)
  await files.makeDirectory(layout.work(uid), 0o2700)
  await tool.createDisk(path, image && { path: `../images/${image.sha256}`, format: image.format }, sizeBytes, signal)
  await files.seal(path, 0o660)
}

/** Path of a new disk before it gets its final name. `madeAs` comes from its record. */
export function unnamedDisk(layout: Layout, uid: VmUid, disk: { readonly name: string; readonly madeAs?: string | undefined }): string {
  return `${layout.work(uid)}/${disk.name}.${disk.madeAs ?? ''}.qcow2`
}

/** Removes unfinished disks of a killed agent. Does nothing if there are none. */
export async function clearWork({ files, layout }: Pick<MakeDiskOptions, 'files' | 'layout'>, uid: VmUid): Promise<void> {
  const directory = layout.work(uid)
  for (const name of (await files.list(directory)) ?? []) await files.remove(`${directory}/${name}`)
  await files.removeEmptyDirectory(directory)
}

/** Removes unfinished disks of a killed agent of release 0.1. A runner could have created such a file too, and no VM needs it. */
export async function sweepOldRelease({ files, layout }: Pick<MakeDiskOptions, 'files' | 'layout'>, uid: VmUid): Promise<void> {
  const directory = layout.disks(uid)
  for (const name of (await files.list(directory, maxNames)) ?? [])
    if (unfinishedOfOldRelease.test(name)) await files.remove(`${directory}/${name}`)
}
