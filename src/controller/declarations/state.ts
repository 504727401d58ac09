import type { Mac } from '../../api/mac.ts'
import type { VirtualMachine } from '../../api/manifest.ts'
import type { VmName } from '../../api/names.ts'
import { byText } from '../../api/order.ts'
import type { LanClaim } from '../../ports/lan-claims.ts'
import type { Origin, SourceIssue } from '../../ports/manifest-source.ts'
import type { ResolvedSnapshot } from '../../ports/resolve-classes.ts'

/** What is remembered of one VM between reads. */
export interface VmMemory {
  /** The last valid state that was read, and the source that gave it; kept while its file is broken. */
  readonly good: { readonly vm: VirtualMachine; readonly generation: string; readonly source: string } | undefined
  /** Where its document was last seen. */
  readonly origin: Origin | undefined
  /** When a read began that saw its document. */
  readonly seenAtMs: number | undefined
  /** A person said that its removal is meant; over when its document is seen again. */
  readonly removalConfirmed: boolean
  /** Why a person has to confirm its removal, where that would delete its disks; over when its document is seen again. */
  readonly mustConfirm?: string | undefined
  /** Since when `good` is what it is. */
  readonly inForceMs: number | undefined
  /** Who else claims it, as people read it; empty where nobody does. */
  readonly rivals: string
  readonly state:
    | { readonly kind: 'present' }
    /** Its own document is there and wrong; `rendered` is what a person is shown. */
    | { readonly kind: 'broken'; readonly rendered: string }
    /** It may be in something that could not be read. */
    | { readonly kind: 'doubtful'; readonly message: string }
    /** Read completely, and not there. */
    | { readonly kind: 'absent'; readonly sinceMs: number }
    /** Not in its source any more, and in another one, which takes it over when the removal grace is over. */
    | { readonly kind: 'handover'; readonly sinceMs: number; readonly from: string; readonly to: string }
    /** Absent together with too many others; the grace starts anew when that is over. */
    | { readonly kind: 'withheld'; readonly message: string }
    /** What `was` has of the LAN is free when nothing of the VM is left. */
    | { readonly kind: 'removed'; readonly was: VirtualMachine | undefined }
}

/** What the Swarm says of a VM that something is owned of. */
export interface OwnedVm {
  /** That its service carries. */
  readonly generation: string | undefined
  /** That its placement record carries; undefined where the record was written before sources were. */
  readonly source: string | undefined
  /** Its placement record says that its disks go with it. */
  readonly deletes?: boolean
  /** That its service starts its guest with; undefined where that cannot be told. */
  readonly macs?: readonly Mac[] | undefined
}

/** What a VM does not claim any more and its guest may still have, and when that was last so. */
export interface Leaving {
  readonly claim: LanClaim
  readonly lastMs: number
}

export interface DeclareInput {
  /** The latest read of every source. */
  readonly snapshots: readonly ResolvedSnapshot[]
  /** False until every source gave a snapshot, complete or not. */
  readonly allHeard: boolean
  /** False until every source was read completely. */
  readonly allRead: boolean
  /** When the oldest of the sources' last reads began; an absence is judged by reads, not by the time that passed since. */
  readonly readAtMs: number
  /** When the last whole read of each source began. */
  readonly readAtMsOf: ReadonlyMap<string, number>
  /** The source of the whole read that is folded in now; undefined where only some files were read, or none. */
  readonly wholeOf: string | undefined
  /**
   * VMs that the Swarm knows from what is owned there; they are judged like VMs whose manifest was seen once. Undefined before the Swarm was
   * read.
   */
  readonly world: ReadonlyMap<VmName, OwnedVm> | undefined
  /** This and every other moment here by `Clock.elapsed`: an absence does not grow when a clock is set. */
  readonly nowMs: number
  readonly removalGraceMs: number
  /** What only one machine of a LAN may have. */
  readonly lanClaims: (vm: VirtualMachine) => readonly LanClaim[]
}

export interface DeclareState {
  readonly vms: ReadonlyMap<VmName, VmMemory>
  /** Files whose names could not be read, by `source/file`: since when with this content. */
  readonly opaque: ReadonlyMap<string, OpaqueFile>
  /** What guests may still have of the LAN and no document of theirs claims, of VMs that are forgotten too. */
  readonly leaving: ReadonlyMap<VmName, readonly Leaving[]>
  /** `VM030`, `VM031`: what is claimed twice, with the sources that claim it. */
  readonly issues: readonly (SourceIssue & { readonly sources: readonly string[] })[]
  /** Why removals are withheld; undefined where they are not. */
  readonly stalled: string | undefined
}

export interface OpaqueFile {
  readonly source: string
  /** When it was found so. */
  readonly sinceMs: number
  /** When the whole read began that found it so; undefined where only some files were read. */
  readonly beganMs: number | undefined
  readonly content: string
  readonly rendered: string
}

export const emptyDeclareState: DeclareState = { vms: new Map(), opaque: new Map(), leaving: new Map(), issues: [], stalled: undefined }

/** A removed VM of which nothing is left is not known any more. */
export function forgetRemoved(state: DeclareState, name: VmName): DeclareState {
  if (state.vms.get(name)?.state.kind !== 'removed') return state
  return { ...state, vms: new Map([...state.vms].filter(([key]) => key !== name)) }
}

/** When the next absence or hand-over is due to be judged; a read is needed then. */
export function nextDueMs(state: DeclareState, removalGraceMs: number): number | undefined {
  const due = [...state.vms.values()].flatMap(({ state: one }) =>
    one.kind === 'absent' || one.kind === 'handover' ? [one.sinceMs + removalGraceMs] : [],
  )
  return due.length === 0 ? undefined : Math.min(...due)
}

/** Names of the VMs whose removal is withheld, sorted. */
export function withheldNames({ vms }: DeclareState): readonly VmName[] {
  return [...vms].flatMap(([name, memory]) => (memory.state.kind === 'withheld' ? [name] : [])).toSorted(byText)
}
