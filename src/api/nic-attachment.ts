import type { NicGrant } from './wire/common.ts'

/** The other side of a NIC, with all settings. */
export interface Attachment {
  readonly kind: 'bridge'
  readonly bridge: string
  /** The VLAN of the guest's frames on the bridge; undefined for a bridge without VLANs, or its default VLAN. */
  readonly vlan: number | undefined
  /** The guest exchanges no frames with other isolated ports of the bridge. */
  readonly isolated: boolean
  /** `mac` drops frames of the guest with another source MAC. */
  readonly antiSpoof: 'mac' | 'off'
}

export function attachmentOf({ bridge, port }: Pick<NicGrant, 'bridge' | 'port'>): Attachment {
  return {
    kind: 'bridge',
    // The schema requires one of the two.
    bridge: port?.bridge ?? bridge ?? '',
    vlan: port?.vlan,
    isolated: port?.isolated ?? false,
    antiSpoof: port?.antiSpoof ?? 'mac',
  }
}

type Settings = Omit<Attachment, 'kind'>

/** The keys of a grant. Settings that release 0.1 has travel as in release 0.1. */
export function grantKeys({ bridge, vlan, isolated, antiSpoof }: Settings): Pick<NicGrant, 'bridge' | 'port'> {
  const settings = {
    ...(vlan === undefined ? {} : { vlan }),
    ...(isolated ? { isolated: true as const } : {}),
    ...(antiSpoof === 'off' ? { antiSpoof } : {}),
  }
  return Object.keys(settings).length === 0 ? { bridge } : { port: { bridge, ...settings } }
}

/** The interface of the node that the NIC is on. */
export function parentOf(nic: Pick<NicGrant, 'bridge' | 'port'>): string {
  return attachmentOf(nic).bridge
}

export function withParent(nic: NicGrant, parent: string): NicGrant {
  return nic.port === undefined ? { ...nic, bridge: parent } : { ...nic, port: { ...nic.port, bridge: parent } }
}

/** Undefined if the bridge can carry the VLAN. */
export function whyNoVlan(
  nic: Pick<NicGrant, 'name' | 'bridge' | 'port'>,
  filtering: 'on' | 'off' | 'absent' | undefined,
): string | undefined {
  const { bridge, vlan } = attachmentOf(nic)
  if (vlan === undefined || filtering === 'on') return undefined
  const needs = `network ${nic.name} needs VLAN ${vlan} on ${bridge}`
  return filtering === 'off'
    ? `${needs}, and ${bridge} has VLAN filtering turned off; turn it on with: ip link set ${bridge} type bridge vlan_filtering 1`
    : `${needs}, and the kernel has no VLAN filtering for bridges; remove vlan and use a bridge of its own for each VLAN`
}

/** Settings that a broker supports beyond release 0.1. It advertises them, because an old broker must not run a NIC with less than its manifest says. */
export const nicFeatures = ['vlan', 'isolated', 'antiSpoof'] as const
export type NicFeature = (typeof nicFeatures)[number]

export function featuresNeeded(nics: readonly Pick<NicGrant, 'bridge' | 'port'>[]): ReadonlySet<NicFeature> {
  return new Set(
    nics
      .map(attachmentOf)
      .flatMap(({ vlan, isolated, antiSpoof }): NicFeature[] => [
        ...(vlan === undefined ? [] : ['vlan' as const]),
        ...(isolated ? ['isolated' as const] : []),
        ...(antiSpoof === 'off' ? ['antiSpoof' as const] : []),
      ]),
  )
}
