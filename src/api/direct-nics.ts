import { type AttachedNic, parentOf } from './nic-attachment.ts'
import type { DirectFact } from './wire/broker-admin.ts'

type DirectReason = 'DeviceNotAllowed' | 'DeviceUnusable' | 'DeviceMtuTooSmall'

/** Why a node cannot give this direct NIC, with what helps; undefined if it can. `devices` are those that exist and are allowed. */
export function whyNotDirect(
  nic: AttachedNic & { readonly name: string; readonly mtu: number | null },
  devices: readonly DirectFact[],
): { readonly reason: DirectReason; readonly message: string } | undefined {
  const name = parentOf(nic)
  const fact = devices.find((one) => one.name === name)
  if (fact === undefined) {
    const allowed = devices.length > 0 ? `it allows ${devices.map((one) => one.name).join(', ')}` : 'it allows none'
    const message = `device ${name} is missing or not allowed for direct NICs (${allowed}); run install-node.sh with --enable-direct --allow-device ${name}`
    return { reason: 'DeviceNotAllowed', message }
  }
  if (fact.problem !== '') return { reason: 'DeviceUnusable', message: fact.problem }
  if (!fact.up) return { reason: 'DeviceUnusable', message: `device ${name} is down; bring it up with: ip link set ${name} up` }
  if (fact.mtu >= (nic.mtu ?? 0)) return undefined
  const fix = `raise it with: ip link set ${name} mtu ${nic.mtu}, or lower mtu in the manifest`
  return { reason: 'DeviceMtuTooSmall', message: `device ${name} has MTU ${fact.mtu}, and network ${nic.name} needs ${nic.mtu}; ${fix}` }
}
