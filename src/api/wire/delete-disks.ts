import * as z from 'zod/mini'
import { reasonField, textField, uidField, vmNameField } from './common.ts'

/**
 * `POST /v1/vms/<uid>/delete-disks` of the agent (agent-api.ts): the disks of one VM and all that is kept with them. Idempotent, and there is no way
 * back: uid, name and cluster must be those in the identity that lies beside the disks. Agents of release 0.1 before it answer 400 UnknownRequest.
 */
export const deleteDisksOrder = z.object({
  version: z.literal(1),
  uid: uidField,
  vm: vmNameField,
  cluster: z.string().check(z.maxLength(64)),
})
export type DeleteDisksOrder = z.output<typeof deleteDisksOrder>

export const deletionStatus = z.discriminatedUnion('state', [
  /** Nothing of it is here any more. */
  z.object({ state: z.literal('gone') }),
  /** The VM is on, or nobody can say that it is off. */
  z.object({ state: z.literal('waiting'), reason: reasonField, message: textField }),
  /** It will not be deleted before somebody changes something. */
  z.object({ state: z.literal('failed'), reason: reasonField, message: textField }),
])
export type DeletionStatus = z.output<typeof deletionStatus>
