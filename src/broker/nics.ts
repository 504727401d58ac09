import type * as z from 'zod'
import { tapName, type VmUid } from '../api/names.ts'
import type { grantedNic } from '../api/wire/broker-runner.ts'
import type { Grant, NicGrant } from '../api/wire/common.ts'
import { HostError, type Devices, type HostNetwork } from '../ports/host-network.ts'

export type GrantedNic = z.output<typeof grantedNic>

/** One VM's devices, open. Whoever gets it closes the descriptors. */
export interface OpenedDevices {
  readonly kvm: boolean
  readonly nics: readonly GrantedNic[]
  /** KVM first, if there is one, then a TAP per NIC. */
  readonly fds: readonly number[]
}

/** Throws HostError, with nothing left open. */
export function openDevices(
  uid: VmUid,
  grant: Grant,
  network: HostNetwork,
  devices: Devices,
  closeFds: (fds: readonly number[]) => void,
): OpenedDevices {
  const fds: number[] = []
  try {
    const kvm = grant.accelerator === 'kvm'
    if (kvm) fds.push(devices.open('kvm'))
    const nics = grant.nics.map((nic) => {
      const { granted, fd } = openNic(uid, nic, network)
      fds.push(fd)
      return granted
    })
    return { kvm, nics, fds }
  } catch (error) {
    closeFds(fds)
    throw error
  }
}

function openNic(uid: VmUid, nic: NicGrant, network: HostNetwork): { granted: GrantedNic; fd: number } {
  const bridge = network.bridge(nic.bridge)
  if (bridge === undefined) throw new HostError('BridgeMissing', `there is no bridge ${nic.bridge} on this node`)
  const tap = tapName(uid, nic.name)
  // One that outlived its descriptor keeps settings of whoever had it.
  if (network.clearTap(tap) === 'attached') throw new HostError('TapBusy', `somebody has the TAP ${tap} attached`)
  // A TAP smaller than its bridge would make the bridge smaller for all.
  const fd = network.makeTap({ name: tap, bridge: nic.bridge, mac: hostSideMac(nic.mac), mtu: bridge.mtu })
  return { granted: grantedNicOf(uid, nic, bridge.mtu), fd }
}

/** What a guest is told: never more than the bridge carries. */
export function grantedNicOf(uid: VmUid, nic: NicGrant, bridgeMtu: number): GrantedNic {
  return { name: nic.name, tap: tapName(uid, nic.name), bridge: nic.bridge, mac: nic.mac, mtu: Math.min(nic.mtu ?? bridgeMtu, bridgeMtu) }
}

/** The guest's with fe in front, as libvirt does: another one than the guest's, and the highest there is, so that no bridge takes it for its own. */
export function hostSideMac(guestMac: string): string {
  return `fe${guestMac.slice(2)}`
}
