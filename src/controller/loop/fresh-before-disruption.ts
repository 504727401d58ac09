import type { VmName } from '../../api/names.ts'
import type { DoubtBefore } from './reconcile-once.ts'

export interface FreshRecordsPorts {
  /** Has a VM's placement record read again before it is given again. */
  readonly doubt: (vm: VmName) => void
  readonly isSuspended: (vm: VmName) => boolean
}

/** Of one reconciler. */
export interface FreshRecords {
  /** A VM is declared, for the first time or otherwise than before. */
  declared(vm: VmName): void
  /** A run begins. */
  begin(vm: VmName): void
  /** Before what a run has planned is carried out. */
  readonly doubtBefore: DoubtBefore
  forget(vm: VmName): void
}

/**
 * The note that suspends a VM stands in its placement record, and may have come without an event: no service that is there is changed or removed, and
 * no disk deleted, on the word of a record that was read before the run began. Where a run will likely change something, it begins with that read.
 */
export function freshRecords({ doubt, isSuspended }: FreshRecordsPorts): FreshRecords {
  /** Once at least: the first declaration of a VM is no edit, and of a thousand VMs it comes at once. */
  const looked = new Set<VmName>()
  const edited = new Set<VmName>()
  const read = new Set<VmName>()
  return {
    declared(vm) {
      if (looked.has(vm)) edited.add(vm)
    },
    begin(vm) {
      const isEdited = edited.delete(vm)
      looked.add(vm)
      read.delete(vm)
      // Its end is waited for, and may have come without an event as well.
      if (!isEdited && !isSuspended(vm)) return
      doubt(vm)
      read.add(vm)
    },
    doubtBefore(vm, effects) {
      if (read.has(vm) || effects.every((one) => !one.disruptive)) return false
      doubt(vm)
      return true
    },
    forget(vm) {
      for (const one of [looked, edited, read]) one.delete(vm)
    },
  }
}
