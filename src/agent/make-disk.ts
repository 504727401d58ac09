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

/** Where release 0.1 made new disks. */
const unfinishedOfOldRelease = /^\.[a-z0-9-]+\.new-[0-9a-f-]{36}$/
const maxNames = 1_024

/** Makes an overlay over a stored image, in the agent's own directory of the VM: no runner can put anything in its way there. It is on disk when it resolves. */
export async function makeDisk(
  { files, layout, tool, signal }: MakeDiskOptions,
  uid: VmUid,
  disk: { readonly sizeBytes: number; readonly sha256: string; readonly format: ImageFormat },
  path: string,
): Promise<void> {
  await files.link(layout.storedImage(disk.sha256), `${layout.instanceImages(uid)}/${disk.sha256}`)
  await files.makeDirectory(layout.work(uid), 0o2700)
  await tool.createOverlay(path, { path: `../images/${disk.sha256}`, format: disk.format }, disk.sizeBytes, signal)
  await files.seal(path, 0o660)
}

/** A new disk that has not got its name yet; `madeAs` is that of its record. */
export function unnamedDisk(layout: Layout, uid: VmUid, disk: { readonly name: string; readonly madeAs?: string | undefined }): string {
  return `${layout.work(uid)}/${disk.name}.${disk.madeAs ?? ''}.qcow2`
}

/** Removes what a killed agent was making; done where there is nothing. */
export async function clearWork({ files, layout }: Pick<MakeDiskOptions, 'files' | 'layout'>, uid: VmUid): Promise<void> {
  const directory = layout.work(uid)
  for (const name of (await files.list(directory)) ?? []) await files.remove(`${directory}/${name}`)
  await files.removeEmptyDirectory(directory)
}

/** Removes what a killed agent of release 0.1 was making. A runner could have made such a file as well, and nobody needs it. */
export async function sweepOldRelease({ files, layout }: Pick<MakeDiskOptions, 'files' | 'layout'>, uid: VmUid): Promise<void> {
  const directory = layout.disks(uid)
  for (const name of (await files.list(directory, maxNames)) ?? [])
    if (unfinishedOfOldRelease.test(name)) await files.remove(`${directory}/${name}`)
}
