import * as z from 'zod/mini'
import { reasonField, textField } from './common.ts'
import { uidField, vmNameField } from '../names.ts'

/**
 * `POST /v1/vms/<uid>/delete-disks` of the agent (agent-api.ts): deletes the disks of one VM and all files beside them. Idempotent, and
 * cannot be undone: uid, name and cluster must match the identity file beside the disks. Agents of release 0.1 answer 400 UnknownRequest.
 */
export const deleteDisksOrder = z.object({
  version: z.literal(1),
  uid: uidField,
  vm: vmNameField,
  cluster: z.string().check(z.maxLength(64)),
})
export type DeleteDisksOrder = z.output<typeof deleteDisksOrder>

export const deletionStatus = z.discriminatedUnion('state', [
  /** Nothing of the VM is left on the node. */
  z.object({ state: z.literal('gone') }),
  /** The VM is running, or its state is unknown. */
  z.object({ state: z.literal('waiting'), reason: reasonField, message: textField }),
  /** Fails until something changes. */
  z.object({ state: z.literal('failed'), reason: reasonField, message: textField }),
])
export type DeletionStatus = z.output<typeof deletionStatus>
