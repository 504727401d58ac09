import * as z from 'zod/mini'
import { bootFileField, sha256Field } from './common.ts'

/**
 * `instances/<uid>/boot-files.json`: the content of the kernel and the initrd of a VM, by their name in the manifest. Written by the agent, read by
 * the runner. The files are `images/<sha256>` in the same directory. Absent for a VM without such files.
 */
export const bootFilesFile = z.object({
  version: z.literal(1),
  files: z.array(z.object({ source: bootFileField, sha256: sha256Field })).check(z.maxLength(4)),
})
export type BootFile = z.output<typeof bootFilesFile>['files'][number]
