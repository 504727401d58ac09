import * as z from 'zod/mini'
import { partNameField, sha256Field } from './common.ts'

const shared = {
  /** Networks whose link is down. */
  down: z.optional(z.array(partNameField).check(z.maxLength(8))),
  /** Limits of disks, for reads and writes together, in a second. */
  limits: z.optional(
    z
      .array(
        z.object({
          disk: partNameField,
          iops: z.optional(z.int().check(z.minimum(1))),
          bytes: z.optional(z.int().check(z.minimum(1))),
        }),
      )
      .check(z.maxLength(16)),
  ),
  /** Memory that the balloon leaves to the guest. */
  memoryTargetMiB: z.optional(z.int().check(z.minimum(1))),
}

/**
 * The part of a spec that a running QEMU can take (ADR 0039). It travels in the order to the agent, never in the task template. A key that is
 * absent means that the VM has nothing of the kind.
 */
export const orderedLivePart = z.object({
  ...shared,
  /** The disc of each CD-ROM drive: `isos/NAME`, or null for an empty drive. */
  cdroms: z.optional(
    z.array(z.object({ name: partNameField, path: z.nullable(z.string().check(z.maxLength(256))) })).check(z.maxLength(16)),
  ),
})
export type OrderedLivePart = z.output<typeof orderedLivePart>

/**
 * `instances/<uid>/live.json`, written by the agent and read by the runner at each start. Absent for a VM that never had a live part, and from
 * agents of release 0.1.
 */
export const livePartFile = z.object({
  version: z.literal(1),
  ...shared,
  /** By drive: the SHA-256 of the disc, whose file is `isos/<sha256>` in the VM's directory, and its path in the order. Null for an empty drive. */
  cdroms: z.optional(
    z
      .array(z.object({ name: partNameField, sha256: z.nullable(sha256Field), path: z.optional(z.string().check(z.maxLength(256))) }))
      .check(z.maxLength(16)),
  ),
})
export type LivePart = z.output<typeof livePartFile>
