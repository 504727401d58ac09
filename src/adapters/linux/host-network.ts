import type { HostNetwork } from '../../ports/host-network.ts'
import { bridgeFact, bridgePorts, interfaceCarrier, interfaceExists, interfaceMac, interfaceMtu } from './interfaces.ts'
import type { Libc } from './libc.ts'
import { clearTap, makeTap, tapOf } from './tap.ts'

/** The network namespace of this process. Changes need NET_ADMIN. */
export function hostNetwork(libc: Libc): HostNetwork {
  return {
    bridge: (name) => bridgeFact(libc, name),
    carrier: interfaceCarrier,
    exists: interfaceExists,
    mac: interfaceMac,
    mtu: interfaceMtu,
    ports: bridgePorts,
    makeTap: (order) => makeTap(libc, order),
    clearTap: (name) => clearTap(libc, name),
    tapOf: (fd) => tapOf(libc, fd),
  }
}
