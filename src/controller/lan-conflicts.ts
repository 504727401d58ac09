import type { VmName } from '../api/names.ts'
import { claimedTwiceWithin, type LanClaim } from '../ports/lan-claims.ts'

/** A VM with what it has of the LAN, and what it would have if what its document says now were accepted. */
export interface Claimant {
  readonly name: VmName
  readonly held: readonly LanClaim[]
  readonly wanted: readonly LanClaim[]
}

export type Refusal =
  /** Another VM has it. */
  | { readonly kind: 'taken'; readonly claim: LanClaim; readonly holder: VmName }
  /** Two of its own NICs want the same. */
  | { readonly kind: 'within'; readonly claim: LanClaim; readonly other: LanClaim }
  /** Several VMs want it, and nobody knows yet which of them has it. */
  | { readonly kind: 'unsettled'; readonly claim: LanClaim; readonly others: readonly VmName[] }

type Refusals = Map<VmName, Refusal>

/**
 * Who must not have what it wants, so that nothing is had by two. Who holds a thing keeps it; what nobody holds goes to the first of `claimants`,
 * or to nobody while it is not `settled` who they are. A VM that is refused goes on with what it holds. What two VMs give up for each other at the
 * same time they get.
 */
export function refusedClaims(claimants: readonly Claimant[], settled: boolean): ReadonlyMap<VmName, Refusal> {
  const refused: Refusals = new Map()
  for (const { name, wanted } of claimants) {
    const pair = claimedTwiceWithin(wanted)
    if (pair !== undefined) refused.set(name, { kind: 'within', ...pair })
  }
  // Each turn refuses somebody, and who is refused only holds what is its own: it ends.
  for (let more = losers(claimants, refused, settled); more.size > 0; more = losers(claimants, refused, settled)) {
    for (const [name, refusal] of more) refused.set(name, refusal)
  }
  readmit(claimants, refused)
  return refused
}

function losers(claimants: readonly Claimant[], refused: Refusals, settled: boolean): Refusals {
  const rivals = new Map<string, Claimant[]>()
  for (const one of claimants) {
    for (const { key } of refused.has(one.name) ? one.held : one.wanted) {
      const others = rivals.get(key)
      if (others === undefined) rivals.set(key, [one])
      else if (!others.includes(one)) others.push(one)
    }
  }
  const lost: Refusals = new Map()
  for (const [key, several] of rivals) if (several.length > 1) lose(key, several, refused, settled, lost)
  return lost
}

function lose(key: string, rivals: readonly Claimant[], refused: Refusals, settled: boolean, lost: Refusals): void {
  const holder = rivals.find((one) => one.held.some((claim) => claim.key === key)) ?? (settled ? rivals[0] : undefined)
  for (const { name, wanted } of rivals) {
    const claim = wanted.find((one) => one.key === key)
    if (claim === undefined || name === holder?.name || refused.has(name)) continue
    const others = rivals.flatMap((one) => (one.name === name ? [] : [one.name]))
    lost.set(name, holder === undefined ? { kind: 'unsettled', claim, others } : { kind: 'taken', claim, holder: holder.name })
  }
}

/** Whoever took it from a VM may have been refused for another reason: the VM gets it after all. */
function readmit(claimants: readonly Claimant[], refused: Refusals): void {
  const taken = new Map(claimants.flatMap(({ name, held, wanted }) => (refused.has(name) ? held : wanted).map(({ key }) => [key, name])))
  const fits = ({ name, wanted }: Claimant): boolean =>
    refused.get(name)?.kind === 'taken' && wanted.every(({ key }) => (taken.get(key) ?? name) === name)
  for (let next = claimants.find(fits); next !== undefined; next = claimants.find(fits)) {
    refused.delete(next.name)
    for (const { key } of next.held) taken.delete(key)
    for (const { key } of next.wanted) taken.set(key, next.name)
  }
}
