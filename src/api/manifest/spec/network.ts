import { z } from 'zod'
import { directModes } from '../../direct-modes.ts'
import { interfaceNamePattern, partNamePattern } from '../../names.ts'
import { field } from '../about.ts'
import { ipv4, ipv4InSubnet, listedIpv4, macAddress } from '../values.ts'
import { userNetwork } from './user-network.ts'

export const network = z.strictObject({
  name: field(z.string().regex(partNamePattern, 'a network name is 1 to 20 characters of a-z 0-9 -'), {
    description: 'Name of the NIC. Its PCI slot belongs to it. With mac: auto, the MAC depends on it.',
    effect: 'restart',
  }),
  bridge: field(z.string().regex(interfaceNamePattern, 'a bridge name is 1 to 15 characters').optional(), {
    description:
      'Bridge of the node that the NIC is attached to, such as br0. The broker of the node must allow it. On the node, `ip -brief link show type bridge` lists its bridges.',
    needed: 'yes',
    effect: 'restart',
  }),
  state: field(z.enum(['up', 'down']).optional(), {
    description: 'down takes the link of the NIC away, like an unplugged cable. Default: up.',
    effect: 'live',
  }),
  fallback: field(z.literal('user').optional(), {
    description:
      'user puts the NIC behind NAT when no node has the bridge, with the same MAC and an SSH port. It returns to the bridge at a restart once its node has it.',
    effect: 'live',
  }),
  mac: field(macAddress().prefault('auto'), {
    description: 'MAC address of the NIC. auto computes it from the names of cluster, VM and network, so it is the same on every node.',
    effect: 'restart',
  }),
  address: field(ipv4().optional(), {
    description:
      'IPv4 address that the DHCP reservation for this MAC is expected to give. swarmvirt does not create the reservation. A guest that gets another address is not Ready.',
    effect: 'live',
  }),
  ipv4: field(
    z
      .strictObject({
        address: field(ipv4InSubnet(), {
          description: 'Static IPv4 address of the guest, with the prefix length. Other nodes probe it.',
          effect: 'first-boot',
        }),
        gateway: field(ipv4().optional(), {
          description: 'Default gateway. Without it, the NIC has no default route.',
          effect: 'first-boot',
        }),
        nameservers: field(z.array(listedIpv4()).max(8).default([]), { description: 'DNS servers.', effect: 'first-boot' }),
      })
      .optional(),
    {
      description: 'Static address of the NIC instead of DHCP. cloud-init configures it in the guest.',
      effect: 'first-boot',
    },
  ),
  vlan: field(z.int().min(1).max(4_094).optional(), {
    description:
      'VLAN of the NIC on the bridge. The guest sends and receives frames without a tag. The bridge needs VLAN filtering, and its uplink must be in the VLAN.',
    effect: 'restart',
  }),
  isolated: field(z.boolean().optional(), {
    description:
      'true keeps the guest from exchanging frames with other isolated guests on the same bridge. It still reaches the host and the LAN. Default: false.',
    effect: 'restart',
  }),
  antiSpoof: field(z.enum(['mac', 'off']).optional(), {
    description:
      'mac: the node drops frames of the guest with another source MAC. off: it does not, for nested guests, containers with their own MAC and VRRP. Default: mac.',
    effect: 'restart',
  }),
  mtu: field(z.int().min(576).max(65_521).optional(), {
    description:
      'Largest packet that the guest sends on the NIC, in bytes without the Ethernet header. The bridge or device must have at least this MTU. Default: the MTU of the bridge or device.',
    effect: 'restart',
  }),
  user: field(userNetwork.optional(), {
    description:
      'NAT in the task of the VM instead of a bridge. It needs no bridge on the node. The guest gets its address by DHCP. It reaches other machines, but neither its own node nor the Swarm, Docker and control ports of any machine.',
    effect: 'restart',
  }),
  direct: field(
    z
      .strictObject({
        device: field(z.string().regex(interfaceNamePattern, 'an interface name is 1 to 15 characters'), {
          description: 'Interface of the node, such as eth1, that is no port of a bridge. The broker of the node must allow it.',
          effect: 'restart',
        }),
        mode: field(z.enum(directModes).default('bridge'), {
          description:
            'bridge: guests on the same device reach each other. vepa: their frames go through the switch, which must send them back. private: they do not reach each other.',
          effect: 'restart',
        }),
      })
      .optional(),
    {
      description:
        'A NIC directly on a device of the node (macvtap) instead of a bridge. The node itself cannot reach the guest through it.',
      effect: 'restart',
    },
  ),
})
