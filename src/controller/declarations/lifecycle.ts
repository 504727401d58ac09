import type { VmName } from '../../api/names.ts'
import type { Log } from '../../ports/log.ts'
import type { StatusStore } from '../status/store.ts'
import type { DeclarationStore } from './store.ts'

export interface LifecyclePorts {
  readonly store: Pick<DeclarationStore, 'get' | 'knows' | 'known' | 'valid' | 'forget'>
  readonly status: Pick<StatusStore, 'declared' | 'forget' | 'progress'>
  readonly log: Log
  readonly isReconciled: (vm: VmName) => boolean
  /** Called when a VM is declared for the first time or with an edit. */
  readonly onDeclared: (vm: VmName) => void
  readonly onForgotten: (vm: VmName) => void
}

/** Follows a VM from its first declaration until nothing of it is left. */
export interface VmLifecycle {
  /** Takes the VMs whose declaration changed. */
  readonly declared: (changed: readonly VmName[]) => void
  /** Forgets removed VMs once every reconciler has settled. `owned` has the VMs that still have objects in the Swarm. */
  readonly forgetRemoved: (owned: { readonly has: (vm: VmName) => boolean }) => void
}

export function vmLifecycle({ store, status, log, isReconciled, onDeclared, onForgotten }: LifecyclePorts): VmLifecycle {
  function declared(changed: readonly VmName[]): void {
    for (const vm of changed) {
      if (store.knows(vm)) {
        status.declared(vm, store.get(vm), store.valid(vm))
        onDeclared(vm)
      } else {
        status.forget(vm)
        onForgotten(vm)
      }
    }
  }

  function isGone(vm: VmName): boolean {
    return store.get(vm).kind === 'removed' && isReconciled(vm) && status.progress(vm).every((one) => one.kind === 'settled')
  }

  return {
    declared,
    forgetRemoved(owned) {
      for (const vm of store.known()) {
        if (owned.has(vm) || !isGone(vm)) continue
        declared(store.forget(vm))
        log.info({ vm }, 'Removed')
      }
    },
  }
}
