import { deterministicMac } from '../mac.ts'
import type { ManifestIssue, ManifestPath, VirtualMachine } from '../manifest.ts'
import type { VmName } from '../names.ts'

/** Something that only one machine of a LAN may have. */
export interface LanClaim {
  /** The same for every claim to the same thing. */
  readonly key: string
  readonly kind: 'MAC' | 'address'
  readonly value: string
  readonly network: string
  /** The MAC follows from the names of VM and network. */
  readonly auto: boolean
  readonly path: ManifestPath
}

/** The MACs and addresses that a VM claims. Without the name of the cluster (offline) nobody knows what an `auto` MAC is. */
export function lanClaims(vm: VirtualMachine, cluster: string | undefined): readonly LanClaim[] {
  return vm.spec.networks.flatMap(({ name: network, mac, address, user }, index) => {
    // Behind NAT of its own nobody else sees them.
    if (user !== undefined) return []
    const claims: LanClaim[] = []
    const claim = (kind: LanClaim['kind'], value: string, field: string, auto: boolean): void =>
      void claims.push({ key: `${kind} ${value}`, kind, value, network, auto, path: ['spec', 'networks', index, field] })
    if (mac !== 'auto') claim('MAC', mac, 'mac', false)
    else if (cluster !== undefined) claim('MAC', deterministicMac(cluster, vm.metadata.name, network), 'name', true)
    if (address !== undefined) claim('address', address, 'address', false)
    return claims
  })
}

/** `VM031`: another VM has it, or only its guest still has. `place` says where that VM is declared; empty where that is not known. */
export function takenBy(claim: LanClaim, holder: VmName, place: string, by: 'document' | 'guest' = 'document'): ManifestIssue {
  const at = place === '' ? '' : ` (${place})`
  if (by === 'guest')
    return { code: 'VM031', path: claim.path, message: `${shownClaim(claim)} is that of VM "${holder}"${at} still`, help: stillHas(holder) }
  const help = claim.auto
    ? 'write a mac here that no other VM has'
    : `give one of the two another ${claim.kind}; this one is accepted as soon as "${holder}" has given it up`
  return { code: 'VM031', path: claim.path, message: `${shownClaim(claim)} is that of VM "${holder}"${at}`, help }
}

function stillHas(holder: VmName): string {
  return `its manifest has given it up, and its guest may run with it: restart "${holder}" if it says RestartRequired; some two minutes after that this one is accepted`
}

/** `VM031`: two NICs of one VM claim the same. */
export function claimedWithin(claim: LanClaim, other: LanClaim): ManifestIssue {
  const message = `${shownClaim(claim)} is that of network "${other.network}" of the same VM`
  return { code: 'VM031', path: claim.path, message, help: `give one of the two another ${claim.kind}` }
}

/** The first claim that stands there once already; undefined where all differ. */
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
