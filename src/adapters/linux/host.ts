import type { BridgeForwarding } from '../../ports/bridge-forwarding.ts'
import type { Layout } from '../../api/layout.ts'
import type { FdSockets } from '../../ports/fd-socket.ts'
import type { GuestFilter, UserNetworkFilter } from '../../ports/guest-filter.ts'
import type { Devices, DiskLocks, PacketListener, HostNetwork, LanProbes, SocketDirectories } from '../../ports/host-network.ts'
import { bridgeForwarding } from './bridge-forwarding.ts'
import { hostDevices } from './devices.ts'
import { fdSockets } from './fd-sockets.ts'
import { hostNetwork } from './host-network.ts'
import { imageLocks } from './image-lock.ts'
import { lanProbes } from './lan-probes.ts'
import { loadLibc } from './libc.ts'
import { closeAll } from './messages.ts'
import { nftFilter } from './nft-filter.ts'
import { nftUserNetwork } from './nft-user-network.ts'
import { packetListener } from './packet.ts'
import { poller } from './poller.ts'
import { socketDirectories } from './socket-directories.ts'

/** The broker's host, on one libc. */
export interface LinuxHost {
  readonly sockets: FdSockets
  readonly network: HostNetwork
  readonly filter: GuestFilter
  readonly forwarding: BridgeForwarding
  readonly userNetworkFilter: UserNetworkFilter | undefined
  readonly devices: Devices
  readonly locks: DiskLocks
  readonly packetListener: PacketListener
  readonly probes: LanProbes
  readonly directories: SocketDirectories
  readonly closeFds: (fds: readonly number[]) => void
}

/** `protect`: addresses and networks for the filters. `userNetwork`: the interface of the user network, if there is one. */
export function linuxHost(layout: Layout, protect: readonly string[], userNetwork?: string): LinuxHost {
  const libc = loadLibc()
  const readiness = poller(libc)
  return {
    sockets: fdSockets(libc),
    network: hostNetwork(libc),
    filter: nftFilter({ protect }),
    userNetworkFilter: userNetwork === undefined ? undefined : nftUserNetwork({ interface: userNetwork, protect }),
    forwarding: bridgeForwarding,
    devices: hostDevices,
    locks: imageLocks(libc, layout),
    packetListener: packetListener(libc, readiness),
    probes: lanProbes(libc, readiness),
    directories: socketDirectories(layout),
    closeFds: closeAll,
  }
}
