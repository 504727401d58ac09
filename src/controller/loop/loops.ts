import { disruptionLeaseName, placementRecordName, type VmName } from '../../api/names.ts'
import type { Declaration } from '../../ports/declarations.ts'
import type { Report } from '../status/store.ts'
import { type FreshRecords, freshRecords } from './fresh-before-disruption.ts'
import { type LoopPorts, type ReconcileLoop, reconcileLoop } from './reconcile-loop.ts'
import type { AnyReconciler, RunResult } from './reconcile-once.ts'

export type VmOwner = Report['owner']

/** The reconcilers whose keys are VMs. */
export const vmOwners = ['assets', 'services', 'reachability'] as const
/** Those of them that write, so that the other one has to reconcile again. */
export const writers = ['assets', 'services'] as const
/** Runs at once, per reconciler: enough that one slow agent delays no other VM, few enough for a manager's API. */
const concurrency = 8

export interface LoopsPorts extends Omit<LoopPorts<undefined>, 'concurrency' | 'onStart' | 'onResult' | 'doubtBefore'> {
  readonly reconcilers: Readonly<Record<'nodes' | VmOwner, AnyReconciler>>
  readonly cluster: string
  readonly declaration: (vm: VmName) => Declaration
  readonly isSuspended: (vm: VmName) => boolean
  /** Has a config read from the Swarm before it is given again. */
  readonly invalidate: (configName: string) => void
  /** `began` is the declaration that the run started with. */
  readonly onVmResult: (owner: VmOwner, vm: VmName, began: Declaration, result: RunResult) => void
  readonly onNodeResult: (result: RunResult) => void
}

export interface Loops {
  readonly nodes: ReconcileLoop
  readonly vms: Readonly<Record<VmOwner, ReconcileLoop>>
  /** A VM is declared, for the first time or with an edit. */
  readonly declared: (vm: VmName) => void
  readonly forget: (vm: VmName) => void
  /** No further runs; resolves when those under way have ended. */
  readonly stop: () => Promise<void>
}

/** The four reconcilers, each with its queue and its workers. They work from the first key on until the signal. */
export function reconcileLoops(ports: LoopsPorts, signal: AbortSignal): Loops {
  const { reconcilers, cluster, declaration, isSuspended, invalidate, onVmResult, onNodeResult, ...rest } = ports
  const shared = { ...rest, concurrency }
  // A write that touches a guest or its disks also needs the lease, which may have gone to another controller without an event.
  const lease = disruptionLeaseName(cluster)
  const records = { assets: freshBefore(lease), services: freshBefore(lease), reachability: freshBefore() }

  function freshBefore(...others: readonly string[]): FreshRecords {
    return freshRecords({ doubt: (vm) => [placementRecordName(vm), ...others].forEach(invalidate), isSuspended })
  }

  function ofVms(owner: VmOwner): ReconcileLoop {
    const fresh = records[owner]
    const onStart = (vm: VmName): Declaration => {
      fresh.begin(vm)
      return declaration(vm)
    }
    const onResult = (vm: VmName, began: Declaration, result: RunResult): void => onVmResult(owner, vm, began, result)
    return reconcileLoop(reconcilers[owner], { ...shared, onStart, onResult, doubtBefore: fresh.doubtBefore }, signal)
  }

  const onNode = { onStart: () => undefined, onResult: (_node: string, _began: undefined, result: RunResult) => onNodeResult(result) }
  const nodes = reconcileLoop(reconcilers.nodes, { ...shared, ...onNode }, signal)
  const vms = { assets: ofVms('assets'), services: ofVms('services'), reachability: ofVms('reachability') }
  return {
    nodes,
    vms,
    declared(vm) {
      for (const owner of writers) records[owner].declared(vm)
    },
    forget(vm) {
      for (const owner of vmOwners) records[owner].forget(vm)
    },
    async stop() {
      await Promise.all([nodes, ...Object.values(vms)].map((loop) => loop.stop()))
    },
  }
}
