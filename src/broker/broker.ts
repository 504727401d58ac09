import type { BridgeForwarding } from '../ports/bridge-forwarding.ts'
import type { Layout } from '../api/layout.ts'
import type { Clock } from '../ports/clock.ts'
import type { FdSockets } from '../ports/fd-socket.ts'
import type { GuestFilter, UserNetworkFilter } from '../ports/guest-filter.ts'
import type { Devices, DiskLocks, PacketListener, HostNetwork, LanProbes, SocketDirectories } from '../ports/host-network.ts'
import type { Log } from '../ports/log.ts'
import { serveAdmin } from './admin-server.ts'
import type { Limits } from './grants.ts'
import { clearStaleDirect } from './direct-links.ts'
import { ForwardDrops } from './forward-drops.ts'
import { Leases } from './leases.ts'
import { Listening } from './listening.ts'
import { RunnerServer } from './runner-server.ts'
import { sightings } from './sightings.ts'
import { TapLocks } from './tap-locks.ts'
import { UserNetwork } from './user-network.ts'

/** Interval between sweeps for TAPs without an owner. */
const sweepMs = 10_000

export interface BrokerOptions {
  readonly layout: Layout
  readonly limits: Limits
  readonly bootId: string
  readonly sockets: FdSockets
  readonly network: HostNetwork
  readonly filter: GuestFilter
  readonly forwarding: BridgeForwarding
  /** Allow forwarding between the ports of allowed bridges where the host's firewall drops it. */
  readonly fixForward: boolean
  /** Undefined if this node has no user network. */
  readonly userNetworkFilter: UserNetworkFilter | undefined
  readonly devices: Devices
  readonly locks: DiskLocks
  readonly packetListener: PacketListener
  readonly probes: LanProbes
  readonly directories: SocketDirectories
  readonly clock: Clock
  readonly log: Log
  readonly closeFds: (fds: readonly number[]) => void
}

/** Resolves when all sockets are bound. The admin socket comes last, so everything is ready for its first client. */
export async function broker(options: BrokerOptions): Promise<{ close(): void }> {
  const userNetwork = options.userNetworkFilter && new UserNetwork(options.userNetworkFilter, options.log)
  const host = { network: options.network, devices: options.devices, locks: options.locks, userNetwork: () => userNetwork?.fact() }
  const learned = sightings()
  const listening = new Listening({ ...options, sightings: learned, bridges: options.limits.bridges })
  const tapLocks = new TapLocks(options)
  const forward = new ForwardDrops({ ...options, bridges: options.limits.bridges, fix: options.fixForward })
  const leases = new Leases({ ...options, host, tapLocks, forward, onTaps: (uid, nics) => listening.setTaps(uid, nics) })
  const runners = new RunnerServer({ ...options, leases })
  let cancelSweep = (): void => undefined
  const sweep = (): void => {
    try {
      listening.clearStale(leases.leasedTaps())
      clearStaleDirect(options.network, options.log)
      void tapLocks.sweep()
      void forward.check()
      void userNetwork?.sweep()
    } catch (error) {
      // An error thrown from a timer would end the broker. The next sweep may succeed, for example once a descriptor is free.
      options.log.error({ err: error }, 'Cannot check for stale TAPs and macvtaps')
    }
    cancelSweep = options.clock.after(sweepMs, sweep)
  }
  await Promise.all([tapLocks.start(), userNetwork?.sweep()])
  sweep()
  await runners.start()
  const admin = await serveAdmin({ ...options, path: options.layout.adminSocket, host, leases, runners, sightings: learned })
  return {
    close() {
      cancelSweep()
      admin.close()
      leases.close()
      runners.close()
      listening.close()
    },
  }
}
