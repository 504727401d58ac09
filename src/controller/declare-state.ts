import type { VirtualMachine } from '../api/manifest.ts'
import type { VmName } from '../api/names.ts'
import { byText } from '../api/order.ts'
import type { SourceIssue } from '../ports/manifest-source.ts'

/** What is remembered of one VM between reads. */
export interface VmMemory {
  /** The last valid state that was read; kept while its file is broken. */
  readonly good: { readonly vm: VirtualMachine; readonly generation: string } | undefined
  /** Where its document was last seen, as `source/file`. */
  readonly file: string | undefined
  /** When its document was last seen. */
  readonly seenAtMs: number | undefined
  /** A person said that its removal is meant; over when its document is seen again. */
  readonly removalConfirmed: boolean
  readonly state:
    | { readonly kind: 'present' }
    /** Its own document is there and wrong; `rendered` is what a person is shown. */
    | { readonly kind: 'broken'; readonly rendered: string }
    /** It may be in something that could not be read. */
    | { readonly kind: 'doubtful'; readonly message: string }
    /** Read completely, and not there. */
    | { readonly kind: 'absent'; readonly sinceMs: number }
    /** Absent together with too many others; the grace starts anew when that is over. */
    | { readonly kind: 'withheld'; readonly message: string }
    | { readonly kind: 'removed' }
}

export interface DeclareState {
  readonly vms: ReadonlyMap<VmName, VmMemory>
  /** Files whose names could not be read, by `source/file`: since when with this content. */
  readonly opaque: ReadonlyMap<string, { readonly sinceMs: number; readonly content: string; readonly rendered: string }>
  /** `VM030`: names that are claimed twice. */
  readonly issues: readonly SourceIssue[]
  /** Why removals are withheld; undefined where they are not. */
  readonly stalled: string | undefined
}

export const emptyDeclareState: DeclareState = { vms: new Map(), opaque: new Map(), issues: [], stalled: undefined }

/** A removed VM of which nothing is left is not known any more. */
export function forgetRemoved(state: DeclareState, name: VmName): DeclareState {
  if (state.vms.get(name)?.state.kind !== 'removed') return state
  return { ...state, vms: new Map([...state.vms].filter(([key]) => key !== name)) }
}

/** When the next absence is due to be judged; a read is needed then. */
export function nextDueMs(state: DeclareState, removalGraceMs: number): number | undefined {
  const due = [...state.vms.values()].flatMap(({ state: one }) => (one.kind === 'absent' ? [one.sinceMs + removalGraceMs] : []))
  return due.length === 0 ? undefined : Math.min(...due)
}

/** Names of the VMs whose removal is withheld, sorted. */
export function withheldNames({ vms }: DeclareState): readonly VmName[] {
  return [...vms].flatMap(([name, memory]) => (memory.state.kind === 'withheld' ? [name] : [])).toSorted(byText)
}
