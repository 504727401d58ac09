import { mtuTooSmall } from '../api/nic-mtu.ts'
import { whyNotDirect } from '../api/direct-nics.ts'
import { parentOf, whyNoVlan } from '../api/nic-attachment.ts'
import type { VmUid } from '../api/names.ts'
import type { UserNetworkFact } from '../api/wire/broker-admin.ts'
import type { Grant, NicGrant } from '../api/wire/common.ts'
import type { Devices, DiskLocks, HostNetwork } from '../ports/host-network.ts'
import { expectedTaps, type HostView } from './lease.ts'

export interface Host {
  readonly network: HostNetwork
  readonly devices: Devices
  readonly locks: DiskLocks
  /** Undefined if this node has no user network. */
  readonly userNetwork: () => UserNetworkFact | undefined
}

export const nothingInTheWay: HostView = {
  poweringOff: undefined,
  imageLocked: undefined,
  tapAttached: undefined,
  bridge: undefined,
  deviceMissing: undefined,
  unfiltered: undefined,
}

/**
 * Checks what blocks the start of this VM on the host: image locks first, TAPs second. A starting QEMU attaches its TAP before it locks a disk, so a
 * QEMU that starts between the two checks is found by the second.
 */
export async function checkHost(host: Host, uid: VmUid, grant: Grant): Promise<HostView> {
  const imageLocked = await host.locks.locked(uid)
  return {
    poweringOff: undefined,
    imageLocked,
    tapAttached: attachedTap(host.network, expectedTaps(uid, grant)),
    bridge: whyNoLink(host.network, grant),
    deviceMissing: missingDevice(host.devices, grant),
    unfiltered: grant.userNetwork === true ? whyNoUserNetwork(host.userNetwork()) : undefined,
  }
}

function attachedTap(network: HostNetwork, taps: readonly string[]): string | undefined {
  const busy = taps.find((tap) => network.clearTap(tap) === 'attached')
  return busy === undefined
    ? undefined
    : `the TAP ${busy} of this VM is still attached to a process; the TAP is released when that process ends`
}

export function whyNoLink(network: Pick<HostNetwork, 'bridge' | 'device'>, { nics }: Grant): HostView['bridge'] {
  for (const nic of nics) {
    const why = nic.direct === undefined ? whyNoBridge(network, nic) : whyNoDevice(network, nic)
    if (why !== undefined) return why
  }
  return undefined
}

/** Why a VM behind NAT must not run here. */
export function whyNoUserNetwork(fact: UserNetworkFact | undefined): string | undefined {
  if (fact === undefined) return 'this node has no user network; run install-node of this release on it'
  return fact.state === 'active' ? undefined : `the user network of this node is not filtered: ${fact.message}`
}

function whyNoDevice(network: Pick<HostNetwork, 'device'>, nic: NicGrant): HostView['bridge'] {
  const why = whyNotDirect(nic, [network.device(parentOf(nic)) ?? []].flat())
  return why && { reason: why.reason === 'DeviceMtuTooSmall' ? why.reason : 'DeviceBusy', message: why.message }
}

function whyNoBridge(network: Pick<HostNetwork, 'bridge'>, nic: NicGrant): HostView['bridge'] {
  const bridge = parentOf(nic)
  const fact = network.bridge(bridge)
  if (fact === undefined) {
    const message = `there is no bridge ${bridge} on this node; create it, or change the network ${nic.name} of the VM`
    return { reason: 'BridgeMissing', message }
  }
  if (fact.mtu < (nic.mtu ?? 0)) return { reason: 'BridgeMtuTooSmall', message: mtuTooSmall(nic, bridge, fact.mtu) }
  const noVlan = whyNoVlan(nic, fact.vlanFiltering)
  return noVlan === undefined ? undefined : { reason: 'VlanUnavailable', message: noVlan }
}

function missingDevice(devices: Devices, grant: Grant): string | undefined {
  const needed = [...(grant.nics.length > 0 ? (['tun'] as const) : []), ...(grant.accelerator === 'kvm' ? (['kvm'] as const) : [])]
  return needed.map((device) => devices.fact(device)).find((fact) => !fact.opens)?.message
}
