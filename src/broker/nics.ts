import type * as z from 'zod/mini'
import { attachmentOf } from '../api/nic-attachment.ts'
import type { Mac } from '../api/mac.ts'
import { tapName, type VmUid } from '../api/names.ts'
import type { grantedNic } from '../api/wire/broker-runner.ts'
import type { Grant, NicGrant } from '../api/wire/common.ts'
import { HostError, type Devices, type HostNetwork } from '../ports/host-network.ts'

type GrantedNic = z.output<typeof grantedNic>

/** A NIC as the broker tells it to the runner, and the settings that only the broker uses. */
export interface BrokerNic extends GrantedNic {
  readonly antiSpoof?: 'off' | undefined
}

/** The open devices of one VM. The caller closes the descriptors. */
export interface OpenedDevices {
  readonly kvm: boolean
  readonly nics: readonly BrokerNic[]
  /** KVM first, if granted, then one TAP per NIC. */
  readonly fds: readonly number[]
}

/** Throws HostError, and leaves nothing open. */
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

function openNic(uid: VmUid, nic: NicGrant, network: HostNetwork): { granted: BrokerNic; fd: number } {
  const { bridge: name, vlan, isolated } = attachmentOf(nic)
  const bridge = network.bridge(name)
  if (bridge === undefined) throw new HostError('BridgeMissing', `there is no bridge ${name} on this node`)
  const tap = tapName(uid, nic.name)
  // A TAP that outlived its descriptor keeps the settings of its previous user.
  if (network.clearTap(tap) === 'attached') throw new HostError('TapBusy', `a process has the TAP ${tap} attached`)
  // A TAP with a smaller MTU would lower the MTU of the whole bridge.
  const fd = network.makeTap({ name: tap, bridge: name, mac: hostSideMac(nic.mac), mtu: bridge.mtu, vlan, isolated })
  return { granted: brokerNicOf(uid, nic, bridge.mtu), fd }
}

/** The MTU for the guest is never larger than the bridge's. */
export function brokerNicOf(uid: VmUid, nic: NicGrant, bridgeMtu: number): BrokerNic {
  const { bridge, antiSpoof } = attachmentOf(nic)
  const mtu = Math.min(nic.mtu ?? bridgeMtu, bridgeMtu)
  return { name: nic.name, tap: tapName(uid, nic.name), bridge, mac: nic.mac, mtu, ...(antiSpoof === 'off' ? { antiSpoof } : {}) }
}

/** As the runner gets it. */
export function grantedNicOf({ name, tap, bridge, mac, mtu }: BrokerNic): GrantedNic {
  return { name, tap, bridge, mac, mtu }
}

/**
 * The guest's MAC with fe as its first octet, as in libvirt. It differs from the guest's MAC and is the highest possible, so that no bridge adopts
 * it.
 */
export function hostSideMac(guestMac: Mac): string {
  return `fe${guestMac.slice(2)}`
}
