import type { Layout } from '../api/layout.ts'
import { formatBytes } from '../api/quantity.ts'
import type { StateFiles } from '../ports/state-files.ts'
import { readInventory } from './inventory.ts'
import { type Failure, failed } from './prepare-plan.ts'

/** Why a new disk, or what a larger one needs in addition, does not fit on this node, by the rule of the placement: every disk may grow to its size. Throws StateError. */
export async function whyNoRoom(
  { layout, files }: { readonly layout: Layout; readonly files: StateFiles },
  disk: { readonly name: string; readonly sizeBytes: number },
): Promise<Failure | undefined> {
  const { freeBytes } = await files.space(layout.root)
  const instances = await readInventory(layout, files, { uids: async () => [] })
  const growth = instances.flatMap(({ disks }) => disks).map((one) => Math.max(0, one.sizeBytes - one.allocatedBytes))
  const promisedBytes = growth.reduce((sum, one) => sum + one, 0)
  if (disk.sizeBytes <= freeBytes - promisedBytes) return undefined
  const free = `${formatBytes(freeBytes)} of disk free, ${formatBytes(promisedBytes)} of it promised to disks that may grow`
  return failed('InsufficientDisk', `the node has ${free}, but disk "${disk.name}" needs ${formatBytes(disk.sizeBytes)}`)
}
