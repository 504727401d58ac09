import type { HostNetwork } from '../../ports/host-network.ts'
import { bridgeFact, bridgePorts, interfaceCarrier, interfaceExists, interfaceMac, interfaceMtu } from './interfaces.ts'
import type { Libc } from './libc.ts'
import { directFact, directLinks, makeDirect, removeDirect } from './macvtap.ts'
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
    device: (name) => directFact(libc, name),
    makeDirect: (order) => makeDirect(libc, order),
    directLinks,
    removeDirect: (link) => removeDirect(libc, link),
    tapOf: (fd) => tapOf(libc, fd),
  }
}
