import type { Mac } from '../../api/mac.ts'
import type { VirtualMachine } from '../../api/manifest.ts'
import type { VmName } from '../../api/names.ts'
import { byText } from '../../api/order.ts'
import type { LanClaim } from '../../api/manifest/lan-claims.ts'
import type { Origin, SourceIssue } from '../../api/manifest/source-documents.ts'
import type { ResolvedSnapshot } from '../../api/manifest/resolve-classes.ts'

/** The state of one VM between reads. */
export interface VmMemory {
  /** The accepted state: the last valid one and its source. Kept while the file is broken. */
  readonly good: { readonly vm: VirtualMachine; readonly generation: string; readonly source: string } | undefined
  /** Where its document was last seen. */
  readonly origin: Origin | undefined
  /** When the last read that saw its document began. */
  readonly seenAtMs: number | undefined
  /** A user confirmed its removal; reset when its document is seen again. */
  readonly removalConfirmed: boolean
  /** Why its removal, which would delete disks, needs a confirmation; reset when its document is seen again. */
  readonly mustConfirm?: string | undefined
  /** Since when `good` has applied. */
  readonly inForceMs: number | undefined
  /** A message about other documents that declare it; empty if there are none. */
  readonly rivals: string
  readonly state:
    | { readonly kind: 'present' }
    /** Its document exists and is invalid; `rendered` is shown to users. */
    | { readonly kind: 'broken'; readonly rendered: string }
    /** Its document may be in something that could not be read. */
    | { readonly kind: 'unknown'; readonly message: string }
    /** Complete reads do not have it. */
    | { readonly kind: 'absent'; readonly sinceMs: number }
    /** It left its source, and another one takes it over when the removal grace period is over. */
    | { readonly kind: 'handover'; readonly sinceMs: number; readonly from: string; readonly to: string }
    /** The removal is blocked: too many VMs are absent. The grace period restarts when that is over. */
    | { readonly kind: 'blocked'; readonly message: string }
    /** The MACs and addresses of `was` are free once nothing of the VM is left. */
    | { readonly kind: 'removed'; readonly was: VirtualMachine | undefined }
}

/** The data in the Swarm about a VM that has objects there. */
export interface OwnedVm {
  /** From its service. */
  readonly generation: string | undefined
  /** From its placement record; undefined in a record of an earlier release. */
  readonly source: string | undefined
  /** Its placement record has deletionPolicy Delete. */
  readonly deletes?: boolean
  /** Its placement record says that its removal needs a confirmation. */
  readonly mustConfirm?: boolean
  /** The MACs of its service; undefined if unknown. */
  readonly macs?: readonly Mac[] | undefined
  /** The static addresses of its service. */
  readonly addresses?: readonly string[] | undefined
}

/** A MAC or address that a VM no longer claims but its guest may still use, and when it last did. */
export interface Leaving {
  readonly claim: LanClaim
  readonly lastMs: number
}

export interface DeclareInput {
  /** The latest read of every source. */
  readonly snapshots: readonly ResolvedSnapshot[]
  /** False until every source gave a snapshot, complete or not. */
  readonly allReported: boolean
  /** False until every source was read completely. */
  readonly allRead: boolean
  /** When the oldest of the sources' last reads began. Absences are measured between reads, not by the current time. */
  readonly readAtMs: number
  /** When the last whole read of each source began. */
  readonly readAtMsOf: ReadonlyMap<string, number>
  /** The source of the complete read that is being folded in; undefined for a read of some files or none. */
  readonly wholeOf: string | undefined
  /**
   * VMs that have objects in the Swarm; treated like VMs whose manifest was seen once. Undefined until the Swarm was read.
   */
  readonly ownedVms: ReadonlyMap<VmName, OwnedVm> | undefined
  /** All times here are by `Clock.elapsed`, so setting the clock does not change an absence. */
  readonly nowMs: number
  readonly removalGraceMs: number
  /** The MACs and addresses of a VM, which must be unique on a LAN. */
  readonly lanClaims: (vm: VirtualMachine) => readonly LanClaim[]
}

export interface DeclareState {
  readonly vms: ReadonlyMap<VmName, VmMemory>
  /** Files whose VM names could not be read, by `source/file`. */
  readonly opaque: ReadonlyMap<string, OpaqueFile>
  /** MACs and addresses that guests may still use although no document claims them; includes forgotten VMs. */
  readonly leaving: ReadonlyMap<VmName, readonly Leaving[]>
  /** `VM030` and `VM031`: duplicates, with the sources that have them. */
  readonly issues: readonly (SourceIssue & { readonly sources: readonly string[] })[]
  /** Why removals are blocked; undefined if none is. */
  readonly stalled: string | undefined
}

export interface OpaqueFile {
  readonly source: string
  /** Since when it has had this content. */
  readonly sinceMs: number
  /** When the complete read that found this content began; undefined for a read of some files. */
  readonly beganMs: number | undefined
  readonly content: string
  readonly rendered: string
}

export const emptyDeclareState: DeclareState = { vms: new Map(), opaque: new Map(), leaving: new Map(), issues: [], stalled: undefined }

/** Drops a removed VM. */
export function forgetRemoved(state: DeclareState, name: VmName): DeclareState {
  if (state.vms.get(name)?.state.kind !== 'removed') return state
  return { ...state, vms: new Map([...state.vms].filter(([key]) => key !== name)) }
}

/** When the next absence or handover is due, which needs a fresh read. */
export function nextDueMs(state: DeclareState, removalGraceMs: number): number | undefined {
  const due = [...state.vms.values()].flatMap(({ state: one }) =>
    one.kind === 'absent' || one.kind === 'handover' ? [one.sinceMs + removalGraceMs] : [],
  )
  return due.length === 0 ? undefined : Math.min(...due)
}

/** Names of the VMs whose removal is blocked, sorted. */
export function blockedNames({ vms }: DeclareState): readonly VmName[] {
  return [...vms].flatMap(([name, memory]) => (memory.state.kind === 'blocked' ? [name] : [])).toSorted(byText)
}
