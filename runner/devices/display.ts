import type { QemuInputs } from './inputs.ts'
import { atSlot } from './pci-slots.ts'

/**
 * A display only if the manifest asks for VNC. QEMU listens on a UNIX socket, never on TCP. The socket needs no password: only the agent's and the
 * runner's group can open it. No option contains a comma, since the path is fixed.
 */
export function displayArguments({ vncSocket }: Pick<QemuInputs, 'vncSocket'>): string[] {
  if (vncSocket === undefined) return []
  return ['-device', JSON.stringify({ driver: 'VGA', id: 'display0', ...atSlot(1) }), '-vnc', `unix:${vncSocket}`]
}
