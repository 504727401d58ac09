import type { VmName } from '../../api/names.ts'
import type { InvalidateBefore } from './reconcile-once.ts'

export interface FreshRecordsPorts {
  /** Invalidates the cached placement record of a VM. */
  readonly invalidate: (vm: VmName) => void
  readonly isSuspended: (vm: VmName) => boolean
}

/** Kept for one reconciler. */
export interface FreshRecords {
  /** Call when a VM is declared for the first time or with an edit. */
  declared(vm: VmName): void
  /** Call when a run begins. */
  begin(vm: VmName): void
  /** Call before a run applies its plan. */
  readonly invalidateBefore: InvalidateBefore<VmName>
  forget(vm: VmName): void
}

/**
 * A VM may have been suspended by a label on its placement record without an event, so a disruptive action needs a record that was read
 * during the run. A run that probably changes something reads the record at its beginning.
 */
export function freshRecords({ invalidate, isSuspended }: FreshRecordsPorts): FreshRecords {
  /** VMs that had a run: the first declaration is no edit, and after a start a thousand of them come at once. */
  const hadRun = new Set<VmName>()
  const edited = new Set<VmName>()
  const read = new Set<VmName>()
  return {
    declared(vm) {
      if (hadRun.has(vm)) edited.add(vm)
    },
    begin(vm) {
      const isEdited = edited.delete(vm)
      hadRun.add(vm)
      read.delete(vm)
      // The end of a suspension may come without an event too.
      if (!isEdited && !isSuspended(vm)) return
      invalidate(vm)
      read.add(vm)
    },
    invalidateBefore(vm, effects) {
      if (read.has(vm) || effects.every((one) => !one.disruptive)) return false
      invalidate(vm)
      return true
    },
    forget(vm) {
      for (const one of [hadRun, edited, read]) one.delete(vm)
    },
  }
}
