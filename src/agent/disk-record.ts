import type { PrepareOrder } from '../api/wire/agent-api.ts'
import type { DiskRecord } from '../api/wire/identity.ts'
import type { ImageState, ImageStore } from './image-store.ts'
import type { DiskImage } from './make-disk.ts'
import { judgeSize } from './prepare-plan.ts'

type OrderedDisk = PrepareOrder['disks'][number]
type Found = { readonly kind: 'found'; readonly image: DiskImage | undefined }

/** The image of a disk that has to be created, in the store. A blank disk has none. */
export async function imageFor(
  images: Pick<ImageStore, 'resolve'>,
  disk: OrderedDisk,
  clusterAddresses: PrepareOrder['clusterAddresses'],
): Promise<Found | Exclude<ImageState, { kind: 'stored' }>> {
  if (disk.image === undefined) return { kind: 'found', image: undefined }
  const state = await images.resolve(disk.image, clusterAddresses)
  if (state.kind !== 'stored') return state
  return judgeSize(disk, state.image.virtualSizeBytes) ?? { kind: 'found', image: state.image }
}

/** The record of a disk in the identity. `madeAs` names this creation. */
export function recordOf({ name, sizeBytes, image }: OrderedDisk, from: DiskImage | undefined, madeAs: string): DiskRecord {
  const record = { name, sizeBytes, madeAs }
  if (image === undefined || from === undefined) return record
  return { ...record, imageSource: image.source, imageSha256: from.sha256, imageFormat: from.format }
}
