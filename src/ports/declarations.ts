import type { VirtualMachine } from '../api/manifest.ts'
import type { VmName } from '../api/names.ts'

/**
 * What the sources say about one VM, after absence has been judged (ADR 0008). `deletionPolicy` is that of the last valid manifest; absent where this
 * controller read none.
 */
export type Declaration =
  /** `source` is where the document came from that is in force; its placement record says so for the time after a restart (ADR 0014). */
  | { readonly kind: 'present'; readonly vm: VirtualMachine; readonly generation: string; readonly source: string }
  /** Read completely, not there, and the removal grace is over: what carries this name is to be removed. */
  | { readonly kind: 'removed'; readonly deletionPolicy?: 'Retain' | 'Delete' }
  /** Not known to be there nor to be gone (no complete read yet, in the grace, its file is broken and no good state is held): nothing is done to it. */
  | { readonly kind: 'unknown'; readonly message: string; readonly deletionPolicy?: 'Retain' | 'Delete' }

export interface Declarations {
  get(vm: VmName): Declaration
  /** Every name with a `present` declaration. */
  names(): readonly VmName[]
  /** Certainly in no manifest: every source was read completely the last time, and nothing in them is too broken to tell what it declares. */
  isNowhere(vm: VmName): boolean
}
