import { tapName } from '../api/names.ts'
import type { HostNetwork } from '../ports/host-network.ts'
import type { Log } from '../ports/log.ts'

/**
 * Removes the macvtaps that nobody holds: QEMU has ended, or an earlier broker was killed. Their identity in the kernel names the VM and its
 * network, and the TAP that follows from these exists as long as a process holds the NIC. Interfaces without such an identity stay.
 */
export function clearStaleDirect(network: Pick<HostNetwork, 'directLinks' | 'exists' | 'removeDirect'>, log: Log): void {
  for (const link of network.directLinks()) {
    if (network.exists(tapName(link.uid, link.network))) continue
    network.removeDirect(link)
    log.info({ ...link }, 'Removed a stale macvtap')
  }
}
