import { tapNamePattern } from '../api/names.ts'
import type { LeaseFact } from '../api/wire/broker-admin.ts'
import type { HostNetwork } from '../ports/host-network.ts'
import { type BrokerNic, linkOf } from './nics.ts'

export type LinkProblem = NonNullable<LeaseFact['nics'][number]['problem']>
type Problem = LinkProblem | undefined

/** Why frames of this NIC may be lost on this node although it is attached. */
export function linkProblem(network: Pick<HostNetwork, 'ports' | 'mtu' | 'device'>, nic: BrokerNic): Problem {
  return nic.direct === undefined ? narrowPort(network, nic) : troubledDevice(network, nic)
}

/** The device may have changed since the macvtap was created. Its MTU shrinks with the device and does not grow back. */
function troubledDevice(network: Pick<HostNetwork, 'device' | 'mtu'>, nic: BrokerNic): Problem {
  const { bridge: device, name } = nic
  const fact = network.device(device)
  if (fact === undefined) return { reason: 'DeviceUnusable', message: `${device}, the device of network ${name}, is gone` }
  if (!fact.up) return { reason: 'DeviceUnusable', message: `device ${device} is down; bring it up with: ip link set ${device} up` }
  if (!fact.carrier) return { reason: 'DeviceUnusable', message: `device ${device} has no carrier: check its cable or switch port` }
  const mtu = network.mtu(linkOf(nic)) ?? nic.mtu
  if (mtu >= nic.mtu) return undefined
  const message = `the macvtap on ${device} has MTU ${mtu}, and the guest sends up to ${nic.mtu} on network ${name}: the MTU of ${device} was lowered; raise it again and restart the VM`
  return { reason: 'PortMtuTooSmall', message }
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
