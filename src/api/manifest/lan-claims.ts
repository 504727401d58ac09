import { deterministicMac } from '../mac.ts'
import type { ManifestIssue, ManifestPath, VirtualMachine } from '../manifest.ts'
import type { VmName } from '../names.ts'

/** A MAC or address that only one machine on a LAN may have, or a port that only one VM of the cluster may publish. */
export interface LanClaim {
  /** Equal for two claims to the same thing. */
  readonly key: string
  readonly kind: 'MAC' | 'address' | 'port'
  readonly value: string
  readonly network: string
  /** The MAC is derived from the names of VM and network. */
  readonly auto: boolean
  readonly path: ManifestPath
}

/** The MACs, addresses and published ports that a VM claims. Without the name of the cluster (offline) an `auto` MAC is unknown. */
export function lanClaims(vm: VirtualMachine, cluster: string | undefined): readonly LanClaim[] {
  return vm.spec.networks.flatMap(({ name: network, mac, address, ipv4, user }, index) => {
    const claims: LanClaim[] = []
    const claim = (kind: LanClaim['kind'], value: string, field: string, auto: boolean): void =>
      void claims.push({
        key: `${kind} ${value}`,
        kind,
        value,
        network,
        auto,
        path: ['spec', 'networks', index, ...field.split('.').map((step) => (/^\d+$/.test(step) ? Number(step) : step))],
      })
    // Behind NAT, MAC and address are not visible to other machines.
    if (user !== undefined) {
      if (typeof user.ssh === 'number') claim('port', `${user.ssh}/tcp`, 'user.ssh', false)
      for (const [place, { published, protocol }] of user.ports.entries())
        if (published !== undefined) claim('port', `${published}/${protocol}`, `user.ports.${place}.published`, false)
      return claims
    }
    if (mac !== 'auto') claim('MAC', mac, 'mac', false)
    else if (cluster !== undefined) claim('MAC', deterministicMac(cluster, vm.metadata.name, network), 'name', true)
    if (address !== undefined) claim('address', address, 'address', false)
    if (ipv4 !== undefined) claim('address', hostOf(ipv4.address), 'ipv4.address', false)
    return claims
  })
}

/** The address without its prefix length. */
export function hostOf(address: string): string {
  return address.replace(/\/.*$/, '')
}

/** `VM031`: another VM, or only its guest, uses it. `place` is where that VM is declared; empty if unknown. */
export function takenBy(claim: LanClaim, holder: VmName, place: string, by: 'document' | 'guest' = 'document'): ManifestIssue {
  const at = place === '' ? '' : ` (${place})`
  if (by === 'guest')
    return {
      code: 'VM031',
      path: claim.path,
      message: `${shownClaim(claim)} is still used by VM "${holder}"${at}`,
      help: stillUsed(holder),
    }
  const help = claim.auto
    ? 'write a MAC that no other VM has'
    : `change the ${claim.kind} of one VM; this document is accepted once VM "${holder}" no longer uses it`
  return { code: 'VM031', path: claim.path, message: `${shownClaim(claim)} belongs to VM "${holder}"${at}`, help }
}

function stillUsed(holder: VmName): string {
  return `the guest of "${holder}" may still use it: restart "${holder}" if it reports RestartRequired. This document is accepted about two minutes later`
}

/** `VM031`: two NICs of one VM claim the same. */
export function claimedWithin(claim: LanClaim, other: LanClaim): ManifestIssue {
  const message = `${shownClaim(claim)} belongs to network "${other.network}" of the same VM`
  return { code: 'VM031', path: claim.path, message, help: `change the ${claim.kind} of one network` }
}

/** The first claim that repeats an earlier one; undefined if all differ. */
export function claimedTwiceWithin(claims: readonly LanClaim[]): { readonly claim: LanClaim; readonly other: LanClaim } | undefined {
  for (const [index, claim] of claims.entries()) {
    const other = claims.slice(0, index).find(({ key }) => key === claim.key)
    if (other !== undefined) return { claim, other }
  }
  return undefined
}

export function shownClaim({ kind, value, network, auto }: LanClaim): string {
  return auto ? `${kind} ${value}, which auto gives network "${network}",` : `${kind} ${value}`
}
