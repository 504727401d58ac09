import type { VmName } from '../../../api/names.ts'
import type { LanClaim } from '../../../api/manifest/lan-claims.ts'
import type { DeclareInput, DeclareState, Leaving, VmMemory } from '../state.ts'

/**
 * A guest has up to two minutes to power off (the stop grace period), and a write that was pending during an edit may be applied 15 s later.
 */
const leavingMs = 140_000

/**
 * MACs and addresses that a guest may still use on the LAN, independent of its document: the MACs and static addresses of its service, since
 * an edit applies at the next restart, and recent claims, since the service may just have been created or replaced.
 */
export function keptBy(name: VmName, before: DeclareState, input: DeclareInput): readonly LanClaim[] {
  return leavingOf(name, before, input).map(({ claim }) => claim)
}

function leavingOf(name: VmName, before: DeclareState, input: DeclareInput): readonly Leaving[] {
  const held = before.leaving.get(name) ?? []
  const owned = input.ownedVms?.get(name)
  const recent = held.filter(({ lastMs }) => input.nowMs - lastMs < leavingMs)
  const used = (kind: LanClaim['kind'], values: readonly string[] = []): LanClaim[] =>
    values.map((value) => ({ key: `${kind} ${value}`, kind, value, network: '', auto: false, path: [] }))
  const runs = [...used('MAC', owned?.macs), ...used('address', owned?.addresses)]
  const now = [...runs, ...inForce(before.vms.get(name), input)].map((claim) => ({ claim, lastMs: input.nowMs }))
  // A service with unknown MACs may use any of them.
  return [...now, ...(owned !== undefined && owned.macs === undefined ? held.map((one) => ({ ...one, lastMs: input.nowMs })) : recent)]
}

/** The claims of documents accepted before now, which a run may have applied. */
function inForce(memory: VmMemory | undefined, input: DeclareInput): readonly LanClaim[] {
  return memory?.inForceMs === undefined || memory.inForceMs >= input.nowMs ? [] : claimsOf(memory, input)
}

export function claimsOf(memory: VmMemory | undefined, { lanClaims }: Pick<DeclareInput, 'lanClaims'>): readonly LanClaim[] {
  const vm = memory?.state.kind === 'removed' ? memory.state.was : memory?.good?.vm
  return vm === undefined ? [] : lanClaims(vm)
}

/** The state for the next fold: what is still claimed is not leaving. */
export function nextLeaving(before: DeclareState, vms: DeclareState['vms'], input: DeclareInput): DeclareState['leaving'] {
  const next = new Map<VmName, readonly Leaving[]>()
  for (const name of new Set([...vms.keys(), ...before.leaving.keys()])) {
    const keys = new Set(claimsOf(vms.get(name), input).map(({ key }) => key))
    const left = leavingOf(name, before, input).filter(({ claim }) => !keys.has(claim.key))
    const first = left.filter(({ claim }, index) => left.findIndex((one) => one.claim.key === claim.key) === index)
    if (first.length > 0) next.set(name, first)
  }
  return next
}

/** Adds the claims of a forgotten VM. */
export function withForgotten(
  leaving: DeclareState['leaving'],
  name: VmName,
  claims: readonly LanClaim[],
  nowMs: number,
): DeclareState['leaving'] {
  const gone = claims.map((claim) => ({ claim, lastMs: nowMs }))
  return gone.length === 0 ? leaving : new Map([...leaving, [name, [...gone, ...(leaving.get(name) ?? [])]]])
}
