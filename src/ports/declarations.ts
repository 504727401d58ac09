import type { VirtualMachine } from '../api/manifest.ts'
import type { VmName } from '../api/names.ts'

/** What the sources say about one VM, after absence has been judged (ADR 0008). */
export type Declaration =
  | { readonly kind: 'present'; readonly vm: VirtualMachine; readonly generation: string }
  /** Read completely, not there, and the removal grace is over: what carries this name is to be removed. */
  | { readonly kind: 'removed' }
  /** Not known to be there nor to be gone (no complete read yet, in the grace, its file is broken and no good state is held): nothing is done to it. */
  | { readonly kind: 'unknown'; readonly message: string }

export interface Declarations {
  get(vm: VmName): Declaration
  /** Every name with a `present` declaration. */
  names(): readonly VmName[]
}
