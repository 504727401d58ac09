import type { VmName } from '../../../api/names.ts'
import { claimedTwiceWithin, type LanClaim } from '../../../api/manifest/lan-claims.ts'

/** A VM with the MACs and addresses that it has, and those that its current document requests. */
export interface Claimant {
  readonly name: VmName
  readonly held: readonly LanClaim[]
  readonly wanted: readonly LanClaim[]
  /** MACs and addresses that its guest may still use on the LAN, independent of its document. */
  readonly kept: readonly LanClaim[]
}

export type Refusal =
  /** Another VM has it, in its document or only in its guest. */
  | { readonly kind: 'taken'; readonly claim: LanClaim; readonly holder: VmName; readonly by: 'document' | 'guest' }
  /** Two of the VM's own NICs request the same. */
  | { readonly kind: 'within'; readonly claim: LanClaim; readonly other: LanClaim }
  /** It is not known yet which of several VMs has it, or whether another guest does; in the second case `others` is empty. */
  | { readonly kind: 'unsettled'; readonly claim: LanClaim; readonly others: readonly VmName[] }

type Refusals = Map<VmName, Refusal>

/**
 * Refuses requests so that no MAC or address has two owners. An owner keeps what it has. A free one goes to the first of `claimants`, or to
 * none of them until the Swarm was read (`settled`). A refused VM keeps what it has. Two VMs can swap, unless a guest still uses one.
 */
export function refusedClaims(claimants: readonly Claimant[], settled: boolean): ReadonlyMap<VmName, Refusal> {
  const refused: Refusals = new Map()
  for (const { name, wanted } of claimants) {
    const pair = claimedTwiceWithin(wanted)
    if (pair !== undefined) refused.set(name, { kind: 'within', ...pair })
  }
  for (let more = losers(claimants, refused, settled); more.size > 0; more = losers(claimants, refused, settled)) {
    for (const [name, refusal] of more) refused.set(name, refusal)
  }
  if (!settled) for (const one of claimants) waitForGuests(one, refused)
  readmit(claimants, refused)
  return refused
}

/** Does not wait for `auto` MACs: they are derived from the VM's name, so another guest would only have one on purpose. */
function waitForGuests({ name, held, wanted }: Claimant, refused: Refusals): void {
  const claim = wanted.find(({ key, kind, auto }) => kind === 'MAC' && !auto && !has(held, key))
  if (claim !== undefined && !refused.has(name)) refused.set(name, { kind: 'unsettled', claim, others: [] })
}

/** Terminates: each iteration refuses another VM, and a refused VM only keeps its own. */
function losers(claimants: readonly Claimant[], refused: Refusals, settled: boolean): Refusals {
  const rivals = new Map<string, Claimant[]>()
  for (const one of claimants) {
    for (const { key } of all(one, refused)) {
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
  const holder = holderOf(key, rivals, refused) ?? (settled ? rivals[0] : undefined)
  for (const { name, wanted } of rivals) {
    const claim = wanted.find((one) => one.key === key)
    if (claim === undefined || name === holder?.name || refused.has(name)) continue
    const others = rivals.flatMap((one) => (one.name === name ? [] : [one.name]))
    lost.set(name, holder === undefined ? { kind: 'unsettled', claim, others } : taken(claim, holder, refused))
  }
}

/** First the VM that was accepted with it and still claims it, then one that claims what its guest uses, then one whose guest uses it. */
function holderOf(key: string, rivals: readonly Claimant[], refused: Refusals): Claimant | undefined {
  const claiming = rivals.filter((one) => has(own(one, refused), key))
  const keeps = (one: Claimant): boolean => has(one.kept, key)
  return claiming.find((one) => has(one.held, key)) ?? claiming.find(keeps) ?? rivals.find(keeps)
}

function taken(claim: LanClaim, holder: Claimant, refused: Refusals): Refusal {
  return { kind: 'taken', claim, holder: holder.name, by: has(own(holder, refused), claim.key) ? 'document' : 'guest' }
}

function own({ name, held, wanted }: Claimant, refused: Refusals): readonly LanClaim[] {
  return refused.has(name) ? held : wanted
}

function all(one: Claimant, refused: Refusals): readonly LanClaim[] {
  return [...own(one, refused), ...one.kept]
}

function has(claims: readonly LanClaim[], key: string): boolean {
  return claims.some((claim) => claim.key === key)
}

/** Accepts a VM after all if the VM that it lost to was refused for another reason. */
function readmit(claimants: readonly Claimant[], refused: Refusals): void {
  const holders = new Map<string, Set<VmName>>()
  const hold = (one: Claimant): void => {
    for (const { key } of all(one, refused)) holders.set(key, (holders.get(key) ?? new Set()).add(one.name))
  }
  for (const one of claimants) hold(one)
  const fits = ({ name, wanted }: Claimant): boolean =>
    refused.get(name)?.kind === 'taken' && wanted.every(({ key }) => [...(holders.get(key) ?? [])].every((holder) => holder === name))
  for (let next = claimants.find(fits); next !== undefined; next = claimants.find(fits)) {
    for (const { key } of all(next, refused)) holders.get(key)?.delete(next.name)
    refused.delete(next.name)
    hold(next)
  }
}
