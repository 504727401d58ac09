import * as z from 'zod/mini'
import { partNameField, sha256Field } from './common.ts'
import { uidField, vmNameField } from '../names.ts'

const disk = {
  name: partNameField,
  sizeBytes: z.int(),
  /** The size that the disk was created with. Absent while it is `sizeBytes`. */
  createdBytes: z.optional(z.int()),
  /** Unique to this creation of the disk. Absent for disks of release 0.1, for which `createdAt` is used. */
  madeAs: z.optional(z.uuid()),
  /** PCI slot (disk-slots.ts). Absent for the only disk of a VM of release 0.1. */
  slot: z.optional(z.int().check(z.minimum(1), z.maximum(31))),
  /** The manifest no longer names the disk. Its file is kept. */
  removed: z.optional(z.literal(true)),
}
const imageDisk = z.object({
  ...disk,
  imageSource: z.string().check(z.maxLength(2048)),
  imageSha256: sha256Field,
  /** Detected when the image was stored, and written into the disk. Absent for disks of release 0.1, which only supported qcow2. */
  imageFormat: z.optional(z.enum(['qcow2', 'raw'])),
})
const blankDisk = z.object(disk)

const identityFile = z.object({
  version: z.literal(1),
  uid: uidField,
  vm: vmNameField,
  cluster: z.string().check(z.maxLength(64)),
  /** A fixed version (`pc-q35-10.0`). Guests see it as their hardware, so it stays the same when QEMU is upgraded. */
  machineType: z.string().check(z.regex(/^pc-q35-\d{1,3}\.\d{1,3}$/)),
  /** RFC 3339. */
  createdAt: z.string().check(z.maxLength(40)),
  disks: z.array(imageDisk),
  /** Disks without an image. Apart from the others, since a runner of release 0.1 rejects a disk without an image. Absent if there are none. */
  blankDisks: z.optional(z.array(blankDisk)),
})

type BlankDisk = z.output<typeof blankDisk> & { imageSource?: undefined; imageSha256?: undefined; imageFormat?: undefined }
/** The record of a disk that was created. A blank one has no image. */
export type DiskRecord = z.output<typeof imageDisk> | BlankDisk
export type Identity = Omit<z.output<typeof identityFile>, 'disks' | 'blankDisks'> & { readonly disks: readonly DiskRecord[] }

/**
 * `instances/<uid>/identity.json`: the permanent properties of a VM. The agent writes it when it first prepares the VM, and when its
 * disks change. A runner never changes it.
 */
export const identity = z.pipe(
  identityFile,
  z.transform(({ blankDisks = [], ...file }): Identity => ({ ...file, disks: [...file.disks, ...blankDisks] })),
)

/** The content of the file. */
export function identityText({ disks, ...rest }: Identity): string {
  const blankDisks = disks.filter((one) => one.imageSha256 === undefined)
  const file = { ...rest, disks: disks.filter((one) => one.imageSha256 !== undefined), ...(blankDisks.length === 0 ? {} : { blankDisks }) }
  return `${JSON.stringify(file, null, 2)}\n`
}
