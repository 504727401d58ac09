import type { DirectMode } from './direct-modes.ts'
import type { NicGrant, NicSettings } from './wire/common.ts'

export interface BridgeAttachment {
  readonly kind: 'bridge'
  readonly bridge: string
  /** The VLAN of the guest's frames on the bridge; undefined for a bridge without VLANs, or its default VLAN. */
  readonly vlan: number | undefined
  /** The guest exchanges no frames with other isolated ports of the bridge. */
  readonly isolated: boolean
  /** `mac` drops frames of the guest with another source MAC. */
  readonly antiSpoof: 'mac' | 'off'
}

/** A macvtap on a device of the host. */
export interface DirectAttachment {
  readonly kind: 'direct'
  readonly device: string
  readonly mode: DirectMode
}

/** The other side of a NIC, with all settings. */
export type Attachment = BridgeAttachment | DirectAttachment

export type AttachedNic = Pick<NicGrant, 'bridge' | 'port' | 'direct'>

export function attachmentOf({ bridge, port, direct }: AttachedNic): Attachment {
  if (direct !== undefined) return { kind: 'direct', ...direct }
  return {
    kind: 'bridge',
    // The schema requires one of the three.
    bridge: port?.bridge ?? bridge ?? '',
    vlan: port?.vlan,
    isolated: port?.isolated ?? false,
    antiSpoof: port?.antiSpoof ?? 'mac',
  }
}

/** The keys of a grant. Settings that release 0.1 has travel as in release 0.1. */
export function grantKeys(attachment: Attachment): AttachedNic {
  if (attachment.kind === 'direct') return { direct: { device: attachment.device, mode: attachment.mode } }
  const { bridge, vlan, isolated, antiSpoof } = attachment
  const settings = {
    ...(vlan === undefined ? {} : { vlan }),
    ...(isolated ? { isolated: true as const } : {}),
    ...(antiSpoof === 'off' ? { antiSpoof } : {}),
  }
  return Object.keys(settings).length === 0 ? { bridge } : { port: { bridge, ...settings } }
}

/** The settings of a grant, without its bridge or device. */
export function settingsOf({ port, direct }: AttachedNic): NicSettings {
  const { bridge: _bridge, ...settings } = port ?? { bridge: '' }
  return direct === undefined ? settings : { mode: direct.mode }
}

/** Equal for equal bridges or devices and settings. For messages too. */
export function attachmentText(parent: string, { vlan, isolated, antiSpoof, mode }: NicSettings): string {
  const settings = [vlan && `vlan ${vlan}`, isolated && 'isolated', antiSpoof && `antiSpoof ${antiSpoof}`, mode && `mode ${mode}`]
  return ['on', parent, ...settings].filter((one) => one !== undefined).join(' ')
}

/** The interface of the node that the NIC is on. */
export function parentOf(nic: AttachedNic): string {
  const attachment = attachmentOf(nic)
  return attachment.kind === 'direct' ? attachment.device : attachment.bridge
}

export function withParent(nic: NicGrant, parent: string): NicGrant {
  if (nic.direct !== undefined) return { ...nic, direct: { ...nic.direct, device: parent } }
  return nic.port === undefined ? { ...nic, bridge: parent } : { ...nic, port: { ...nic.port, bridge: parent } }
}

/** Undefined if the bridge can carry the VLAN. */
export function whyNoVlan(
  nic: AttachedNic & { readonly name: string },
  filtering: 'on' | 'off' | 'absent' | undefined,
): string | undefined {
  const attachment = attachmentOf(nic)
  if (attachment.kind === 'direct' || attachment.vlan === undefined || filtering === 'on') return undefined
  const { bridge, vlan } = attachment
  const needs = `network ${nic.name} needs VLAN ${vlan} on ${bridge}`
  return filtering === 'off'
    ? `${needs}, and ${bridge} has VLAN filtering turned off; turn it on with: ip link set ${bridge} type bridge vlan_filtering 1`
    : `${needs}, and the kernel has no VLAN filtering for bridges; remove vlan and use a bridge of its own for each VLAN`
}

/** Settings that a broker supports beyond release 0.1. It advertises them, because an old broker must not run a NIC with less than its manifest says. */
export const nicFeatures = ['vlan', 'isolated', 'antiSpoof', 'direct'] as const
export type NicFeature = (typeof nicFeatures)[number]

export function featuresNeeded(nics: readonly AttachedNic[]): ReadonlySet<NicFeature> {
  return new Set(nics.flatMap((nic) => featuresOf(attachmentOf(nic))))
}

function featuresOf(attachment: Attachment): readonly NicFeature[] {
  if (attachment.kind === 'direct') return ['direct']
  const { vlan, isolated, antiSpoof } = attachment
  return [
    ...(vlan === undefined ? [] : ['vlan' as const]),
    ...(isolated ? ['isolated' as const] : []),
    ...(antiSpoof === 'off' ? ['antiSpoof' as const] : []),
  ]
}

/** The kernel keeps this text with the macvtap of a NIC, so that a later broker knows whose it is. */
export function directAlias({ uid, network }: { readonly uid: string; readonly network: string }): string {
  return `swarmvirt ${uid} ${network}`
}

export function identityInAlias(alias: string): { readonly uid: string; readonly network: string } | undefined {
  const [, uid, network] = /^swarmvirt (\S+) (\S+)$/.exec(alias) ?? []
  return uid === undefined || network === undefined ? undefined : { uid, network }
}
