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

const unfinished = /^\.[a-z0-9-]+\.new-[0-9a-f-]{36}$/

/** Makes an overlay over a stored image; the path has it when it is complete and on disk, and not before. */
export async function makeDisk(
  { files, layout, tool, random, signal }: MakeDiskOptions,
  uid: VmUid,
  disk: { readonly name: string; readonly sizeBytes: number; readonly sha256: string; readonly format: ImageFormat },
  path: string,
): Promise<void> {
  await files.link(layout.storedImage(disk.sha256), `${layout.instanceImages(uid)}/${disk.sha256}`)
  const fresh = `${layout.disks(uid)}/.${disk.name}.new-${random.uuid()}`
  try {
    await tool.createOverlay(fresh, { path: `../images/${disk.sha256}`, format: disk.format }, disk.sizeBytes, signal)
  } catch (error) {
    await files.remove(fresh)
    throw error
  }
  await files.publish(fresh, path, 0o660)
}

/** What a killed qemu-img left, and other files by these names. No runner may be there, which could make such files as well. */
export async function sweepUnfinished(
  { files, layout }: Pick<MakeDiskOptions, 'files' | 'layout'>,
  uid: VmUid,
  names: RegExp = unfinished,
): Promise<void> {
  for (const name of (await files.list(layout.disks(uid))) ?? []) {
    if (names.test(name)) await files.remove(`${layout.disks(uid)}/${name}`)
  }
}
