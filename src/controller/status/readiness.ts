import type { VmName } from '../../api/names.ts'
import type { DeclarationStore } from '../declarations/store.ts'

export interface ReadinessPorts {
  readonly hasSnapshot: () => boolean
  readonly store: Pick<DeclarationStore, 'complete' | 'known'>
  /** Every reconciler has reported the VM. */
  readonly isReconciled: (vm: VmName) => boolean
}

/** Returns what the controller still waits for; empty once it is ready. It never becomes unready again. */
export function readiness({ hasSnapshot, store, isReconciled }: ReadinessPorts): () => string {
  let isReady = false

  function missing(): string {
    if (!hasSnapshot()) return 'waiting for Swarm state'
    if (!store.complete()) return 'waiting for a complete read of the manifests'
    const waiting = store.known().filter((vm) => !isReconciled(vm)).length
    return waiting === 0 ? '' : `${waiting} VMs are not reconciled yet`
  }

  return () => {
    const now = isReady ? '' : missing()
    isReady = now === ''
    return now
  }
}
