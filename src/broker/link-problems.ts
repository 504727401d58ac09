import { tapNamePattern } from '../api/names.ts'
import type { LeaseFact } from '../api/wire/broker-admin.ts'
import type { HostNetwork } from '../ports/host-network.ts'
import type { BrokerNic } from './nics.ts'

type Problem = LeaseFact['nics'][number]['problem']

/** Why frames of this NIC may be lost on this node although it is attached. */
export function linkProblem(network: Pick<HostNetwork, 'ports' | 'mtu'>, nic: BrokerNic): Problem {
  return narrowPort(network, nic)
}

/** A bridge drops frames that are larger than the MTU of the port they leave by, and sends no error. TAPs have the MTU of their bridge. */
function narrowPort(network: Pick<HostNetwork, 'ports' | 'mtu'>, { name, bridge, mtu }: BrokerNic): Problem {
  for (const port of network.ports(bridge)) {
    const portMtu = tapNamePattern.test(port) ? undefined : network.mtu(port)
    if (portMtu === undefined || portMtu >= mtu) continue
    const fix = `set mtu: ${portMtu} on network ${name}, or raise it on the node: ip link set ${port} mtu ${mtu}`
    const message = `${port}, a port of ${bridge}, has MTU ${portMtu}, and the guest sends up to ${mtu} on network ${name}: larger packets are lost there; ${fix}`
    return { reason: 'PortMtuTooSmall', message }
  }
  return undefined
}
