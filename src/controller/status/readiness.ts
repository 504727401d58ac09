import type { VmName } from '../../api/names.ts'
import type { DeclarationStore } from '../declarations/store.ts'

export interface ReadinessPorts {
  readonly hasSnapshot: () => boolean
  readonly store: Pick<DeclarationStore, 'complete' | 'known'>
  /** Every reconciler has reported on it. */
  readonly isReconciled: (vm: VmName) => boolean
}

/** What the controller still waits for before it is ready; empty when it is. Ready once, it stays ready. */
export function readiness({ hasSnapshot, store, isReconciled }: ReadinessPorts): () => string {
  let isReady = false

  function missing(): string {
    if (!hasSnapshot()) return 'the Swarm has not answered yet'
    if (!store.complete()) return 'the manifests have not been read completely yet'
    const waiting = store.known().filter((vm) => !isReconciled(vm)).length
    return waiting === 0 ? '' : `${waiting} VMs have not been reconciled yet`
  }

  return () => {
    const now = isReady ? '' : missing()
    isReady = now === ''
    return now
  }
}
