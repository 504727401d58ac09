import type { NicInput } from './inputs.ts'
import { atSlot } from './pci-slots.ts'
import { type UserNicInput, userNicArguments } from './user-nics.ts'

/** The device that the guest sees. */
export function nicDevice(index: number): string {
  return `nic${index}-device`
}

/** No option ROM: a VM never boots from the network. */
export function nicArguments(input: NicInput | UserNicInput, index: number): string[] {
  return 'nat' in input ? userNicArguments(input, index) : tapNicArguments(input, index)
}

function tapNicArguments({ nic, fd, slot }: NicInput, index: number): string[] {
  const device = { driver: 'virtio-net-pci', id: nicDevice(index), netdev: `nic${index}`, mac: nic.mac, host_mtu: nic.mtu, romfile: '' }
  return ['-netdev', `tap,id=nic${index},fd=${fd},vhost=off`, '-device', JSON.stringify({ ...device, ...atSlot(slot) })]
}
