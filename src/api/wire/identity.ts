import * as z from 'zod/mini'
import { partNameField, sha256Field, vmNameField } from './common.ts'
import { uidField } from '../names.ts'

/**
 * `instances/<uid>/identity.json`: the permanent properties of a VM. The agent writes it when it first prepares the VM, and when it
 * replaces a disk. A runner never changes it.
 */
export const identity = z.object({
  version: z.literal(1),
  uid: uidField,
  vm: vmNameField,
  cluster: z.string().check(z.maxLength(64)),
  /** A fixed version (`pc-q35-10.0`). Guests see it as their hardware, so it stays the same when QEMU is upgraded. */
  machineType: z.string().check(z.regex(/^pc-q35-\d{1,3}\.\d{1,3}$/)),
  /** RFC 3339. */
  createdAt: z.string().check(z.maxLength(40)),
  disks: z.array(
    z.object({
      name: partNameField,
      sizeBytes: z.int(),
      imageSource: z.string().check(z.maxLength(2048)),
      imageSha256: sha256Field,
      /** Detected when the image was stored, and written into the disk. Absent for disks of release 0.1, which only supported qcow2. */
      imageFormat: z.optional(z.enum(['qcow2', 'raw'])),
      /** Unique to this creation of the disk. Absent for disks of release 0.1, for which `createdAt` is used. */
      madeAs: z.optional(z.uuid()),
    }),
  ),
})
export type Identity = z.output<typeof identity>
