import * as z from 'zod/mini'
import { partNameField, sha256Field, uidField, vmNameField } from './common.ts'

/** `instances/<uid>/identity.json`: what a VM is for life. Written by the agent when the VM is first prepared, and when a disk is replaced; never changed by a runner. */
export const identity = z.object({
  version: z.literal(1),
  uid: uidField,
  vm: vmNameField,
  cluster: z.string().check(z.maxLength(64)),
  /** A fixed version (`pc-q35-10.0`): guests see it as their hardware, so it stays when QEMU is upgraded. */
  machineType: z.string().check(z.regex(/^pc-q35-\d{1,3}\.\d{1,3}$/)),
  /** RFC 3339. */
  createdAt: z.string().check(z.maxLength(40)),
  disks: z.array(
    z.object({
      name: partNameField,
      sizeBytes: z.int(),
      imageSource: z.string().check(z.maxLength(2048)),
      imageSha256: sha256Field,
      /** Decided when the image was stored, and written into the disk. Absent where release 0.1 made it, which knew qcow2 alone. */
      imageFormat: z.optional(z.enum(['qcow2', 'raw'])),
      /** Of this making of the disk and of no other. Absent where release 0.1 made it: then `createdAt` stands for it. */
      madeAs: z.optional(z.uuid()),
    }),
  ),
})
export type Identity = z.output<typeof identity>
