import type { VmName } from '../../../api/names.ts'
import type { LanClaim } from '../../../ports/lan-claims.ts'
import type { DeclareInput, DeclareState, Leaving, VmMemory } from '../state.ts'

/**
 * A guest has up to two minutes to power off (the stop grace period), and a write that was under way when a manifest was edited may be carried out
 * 15 s later.
 */
const leavingMs = 140_000

/**
 * What a guest may be on the LAN with, whatever its VM claims now. An edit of a NIC takes hold at the next restart, and the Swarm says what a
 * service starts its guest with; but a service may be made or replaced while nobody has looked yet.
 */
export function keptBy(name: VmName, before: DeclareState, input: DeclareInput): readonly LanClaim[] {
  return leavingOf(name, before, input).map(({ claim }) => claim)
}

function leavingOf(name: VmName, before: DeclareState, input: DeclareInput): readonly Leaving[] {
  const held = before.leaving.get(name) ?? []
  const owned = input.world?.get(name)
  const recent = held.filter(({ lastMs }) => input.nowMs - lastMs < leavingMs)
  const runs = (owned?.macs ?? []).map(
    (mac): LanClaim => ({ key: `MAC ${mac}`, kind: 'MAC', value: mac, network: '', auto: false, path: [] }),
  )
  const now = [...runs, ...inForce(before.vms.get(name), input)].map((claim) => ({ claim, lastMs: input.nowMs }))
  // What cannot be read of a service may be any of it.
  return [...now, ...(owned !== undefined && owned.macs === undefined ? held.map((one) => ({ ...one, lastMs: input.nowMs })) : recent)]
}

/** Of documents that have been accepted for some time, so that somebody may have acted on them. */
function inForce(memory: VmMemory | undefined, input: DeclareInput): readonly LanClaim[] {
  return memory?.inForceMs === undefined || memory.inForceMs >= input.nowMs ? [] : claimsOf(memory, input)
}

export function claimsOf(memory: VmMemory | undefined, { lanClaims }: Pick<DeclareInput, 'lanClaims'>): readonly LanClaim[] {
  const vm = memory?.state.kind === 'removed' ? memory.state.was : memory?.good?.vm
  return vm === undefined ? [] : lanClaims(vm)
}

/** The same for the next time: what is claimed is not leaving. */
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

/** Of a VM of which nothing is left that anybody could see. */
export function withForgotten(
  leaving: DeclareState['leaving'],
  name: VmName,
  claims: readonly LanClaim[],
  nowMs: number,
): DeclareState['leaving'] {
  const gone = claims.map((claim) => ({ claim, lastMs: nowMs }))
  return gone.length === 0 ? leaving : new Map([...leaving, [name, [...gone, ...(leaving.get(name) ?? [])]]])
}
