import type * as z from 'zod/mini'
import { attachmentOf, type BridgeAttachment, type DirectAttachment, parentOf, settingsOf } from '../api/nic-attachment.ts'
import type { DirectMode } from '../api/direct-modes.ts'
import type { Mac } from '../api/mac.ts'
import { directLinkName, tapName, type VmUid } from '../api/names.ts'
import type { grantedNic } from '../api/wire/broker-runner.ts'
import type { Grant, NicGrant } from '../api/wire/common.ts'
import { HostError, type Devices, type HostNetwork } from '../ports/host-network.ts'

type GrantedNic = z.output<typeof grantedNic>

/** A NIC as the broker tells it to the runner, and the settings that only the broker uses. */
export interface BrokerNic extends GrantedNic {
  readonly antiSpoof?: 'off' | undefined
  /** The macvtap of a direct NIC. */
  readonly direct?: { readonly link: string; readonly mode: DirectMode }
}

/** The interface that the guest's frames pass. */
export function linkOf({ tap, direct }: BrokerNic): string {
  return direct?.link ?? tap
}

/** The open devices of one VM. The caller closes the descriptors. */
export interface OpenedDevices {
  readonly kvm: boolean
  readonly nics: readonly BrokerNic[]
  /** KVM first, if granted, then those of each NIC: its TAP, or its macvtap and its token. */
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
      const { granted, fds: opened } = openNic(uid, nic, network)
      fds.push(...opened)
      return granted
    })
    return { kvm, nics, fds }
  } catch (error) {
    closeFds(fds)
    throw error
  }
}

interface OpenedNic {
  readonly granted: BrokerNic
  readonly fds: readonly number[]
}

function openNic(uid: VmUid, nic: NicGrant, network: HostNetwork): OpenedNic {
  const tap = tapName(uid, nic.name)
  // A TAP that outlived its descriptor keeps the settings of its previous user.
  if (network.clearTap(tap) === 'attached') throw new HostError('TapBusy', `a process has the TAP ${tap} attached`)
  const attachment = attachmentOf(nic)
  return attachment.kind === 'direct' ? openDirect(uid, nic, attachment, network) : openPort(uid, nic, attachment, network)
}

function openPort(uid: VmUid, nic: NicGrant, { bridge: name, vlan, isolated }: BridgeAttachment, network: HostNetwork): OpenedNic {
  const bridge = network.bridge(name)
  if (bridge === undefined) throw new HostError('BridgeMissing', `there is no bridge ${name} on this node`)
  // A TAP with a smaller MTU would lower the MTU of the whole bridge.
  const order = { name: tapName(uid, nic.name), bridge: name, mac: hostSideMac(nic.mac), mtu: bridge.mtu, vlan, isolated }
  return { granted: brokerNicOf(uid, nic, bridge.mtu), fds: [network.makeTap(order)] }
}

function openDirect(uid: VmUid, nic: NicGrant, { device, mode }: DirectAttachment, network: HostNetwork): OpenedNic {
  const fact = network.device(device)
  if (fact === undefined) throw new HostError('DeviceMissing', `there is no interface ${device} on this node`)
  const granted = brokerNicOf(uid, nic, fact.mtu)
  const { tap, mac, mtu } = granted
  const link = directLinkName(uid, nic.name)
  const { fd, tokenFd } = network.makeDirect({ link, uid, network: nic.name, tap, device, mode, mac, mtu })
  return { granted, fds: [fd, tokenFd] }
}

/** The MTU for the guest is never larger than the bridge's. */
export function brokerNicOf(uid: VmUid, nic: NicGrant, parentMtu: number): BrokerNic {
  const attachment = attachmentOf(nic)
  const mtu = Math.min(nic.mtu ?? parentMtu, parentMtu)
  const settings = settingsOf(nic)
  const common = { name: nic.name, tap: tapName(uid, nic.name), bridge: parentOf(nic), mac: nic.mac, mtu, settings }
  if (attachment.kind === 'direct')
    return { ...common, token: true, direct: { link: directLinkName(uid, nic.name), mode: attachment.mode } }
  return { ...common, ...(attachment.antiSpoof === 'off' ? { antiSpoof: 'off' } : {}) }
}

/** As the runner gets it. */
export function grantedNicOf({ antiSpoof: _antiSpoof, direct: _direct, ...nic }: BrokerNic): GrantedNic {
  return nic
}

/**
 * The guest's MAC with fe as its first octet, as in libvirt. It differs from the guest's MAC and is the highest possible, so that no bridge adopts
 * it.
 */
export function hostSideMac(guestMac: Mac): string {
  return `fe${guestMac.slice(2)}`
}
