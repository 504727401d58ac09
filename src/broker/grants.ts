import { maxGrants } from '../api/wire/broker-admin.ts'
import { attachmentOf } from '../api/nic-attachment.ts'
import type { Grant } from '../api/wire/common.ts'
import type { VmUid } from '../api/names.ts'
import { parseMac } from '../api/mac.ts'

export interface Limits {
  readonly bridges: readonly string[]
  /** Devices for direct NICs; empty unless the command line enables them. */
  readonly devices: readonly string[]
  /** One to six lower-case octets with colons. Every granted MAC must start with them. */
  readonly macPrefix: string
}

export type GrantVerdict = { readonly ok: true } | { readonly ok: false; readonly reason: string; readonly message: string }

/** Checks a grant against the command line's limits and the other grants. A missing bridge is no reason to reject it. */
export function judgeGrant(grant: Grant, limits: Limits, others: ReadonlyMap<VmUid, Grant>): GrantVerdict {
  const taken = macsOfOthers(grant.uid, others)
  const seen = new Set<string>()
  const names = new Set<string>()
  for (const nic of grant.nics) {
    const parent = whyNotAllowed(nic, limits)
    if (parent !== undefined) return parent
    if (parseMac(nic.mac) === undefined || !nic.mac.startsWith(`${limits.macPrefix}:`))
      return refused('MacNotAllowed', `MAC ${nic.mac} does not start with ${limits.macPrefix}, the broker's --mac-prefix`)
    if (taken.has(nic.mac)) return refused('MacTaken', `MAC ${nic.mac} is already granted to VM ${taken.get(nic.mac) ?? ''} on this node`)
    if (seen.has(nic.mac)) return refused('MacTaken', `MAC ${nic.mac} appears twice in the grant`)
    if (names.has(nic.name)) return refused('NameTaken', `the network ${nic.name} appears twice in the grant`)
    seen.add(nic.mac)
    names.add(nic.name)
  }
  if (!others.has(grant.uid) && others.size >= maxGrants) return refused('TooManyGrants', `the broker stores at most ${maxGrants} grants`)
  return { ok: true }
}

function whyNotAllowed(nic: Grant['nics'][number], { bridges, devices }: Limits): GrantVerdict | undefined {
  const attachment = attachmentOf(nic)
  if (attachment.kind === 'direct') {
    const { device } = attachment
    if (devices.includes(device)) return undefined
    const allowed = devices.length === 0 ? 'it allows no direct NICs' : `allowed: ${devices.join(', ')}`
    return refused(
      'DeviceNotAllowed',
      `device ${device} is not allowed on this broker (${allowed}); start it with --enable-direct --allow-device ${device}`,
    )
  }
  const { bridge } = attachment
  if (bridges.includes(bridge)) return undefined
  return refused(
    'BridgeNotAllowed',
    `bridge ${bridge} is not allowed on this broker (allowed: ${bridges.join(', ')}); start it with --allow-bridge ${bridge}`,
  )
}

function refused(reason: string, message: string): GrantVerdict {
  return { ok: false, reason, message }
}

function macsOfOthers(uid: VmUid, others: ReadonlyMap<VmUid, Grant>): Map<string, string> {
  const macs = new Map<string, string>()
  for (const other of others.values()) {
    if (other.uid !== uid) for (const nic of other.nics) macs.set(nic.mac, other.vm)
  }
  return macs
}
