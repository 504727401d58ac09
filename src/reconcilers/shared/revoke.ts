import type { VmUid } from '../../api/names.ts'
import type { Agents } from '../../ports/agents.ts'
import { unlessGone } from './gone.ts'

/** A node that does not know the VM has no grant for it. */
export async function revokeGrant(
  agents: Agents,
  { nodeId, uid }: { readonly nodeId: string; readonly uid: VmUid },
  signal: AbortSignal,
): Promise<void> {
  return unlessGone(agents.on(nodeId).revoke(uid, signal))
}
