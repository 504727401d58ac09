import type { VirtualMachine } from '../api/manifest.ts'
import type { VmName } from '../api/names.ts'

/**
 * The declaration of one VM by the sources (ADR 0008). `deletionPolicy` comes from the last valid manifest; absent if this controller read
 * none. `mustConfirm`: the disks are only deleted after a confirmation; absent if the VM is not known to be absent.
 */
export type Declaration =
  /** `source` has the accepted document. The placement record keeps it for the time after a restart (ADR 0014). */
  | { readonly kind: 'present'; readonly vm: VirtualMachine; readonly generation: string; readonly source: string }
  /** Absent from complete reads for the removal grace period: its objects are removed. */
  | { readonly kind: 'removed'; readonly deletionPolicy?: 'Retain' | 'Delete' }
  /** It is unknown whether the VM is declared, for example before the first complete read or in the grace period: no changes are made. */
  | { readonly kind: 'unknown'; readonly message: string; readonly deletionPolicy?: 'Retain' | 'Delete'; readonly mustConfirm?: boolean }

export interface Declarations {
  get(vm: VmName): Declaration
  /** Every name with a `present` declaration. */
  names(): readonly VmName[]
  /** True if the VM is certainly in no manifest: the last read of every source was complete, and no file is too broken to tell what it declares. */
  isNowhere(vm: VmName): boolean
}
