import { disruptionLeaseName, type NodeId, placementRecordName, type VmName } from '../../api/names.ts'
import type { Declaration } from '../../ports/declarations.ts'
import type { Report } from '../status/report.ts'
import { type FreshRecords, freshRecords } from './fresh-before-disruption.ts'
import { type LoopPorts, type ReconcileLoop, reconcileLoop } from './reconcile-loop.ts'
import type { AnyReconciler, RunResult } from './reconcile-once.ts'

export type VmOwner = Report['owner']

/** The reconcilers whose keys are VMs. */
export const vmOwners = ['assets', 'services', 'reachability'] as const
/** The reconcilers whose writes requeue each other. */
export const writers = ['assets', 'services'] as const
/** The reconcilers that observe the tasks of a VM. */
export const taskReaders = ['services', 'reachability'] as const
/** Concurrent runs per reconciler: enough that one slow agent does not delay other VMs, few enough for a manager's API. */
const concurrency = 8

export type Reconcilers = Readonly<{ nodes: AnyReconciler<NodeId> } & Record<VmOwner, AnyReconciler<VmName>>>

export interface LoopsPorts extends Omit<LoopPorts<never, undefined>, 'concurrency' | 'onStart' | 'onResult' | 'invalidateBefore'> {
  readonly reconcilers: Reconcilers
  readonly cluster: string
  readonly declaration: (vm: VmName) => Declaration
  readonly isSuspended: (vm: VmName) => boolean
  /** Invalidates a cached config. */
  readonly invalidate: (configName: string) => void
  /** `began` is the declaration at the start of the run. */
  readonly onVmResult: (owner: VmOwner, vm: VmName, began: Declaration, result: RunResult) => void
  /** A run of a node wrote something. */
  readonly onNodeWrite: () => void
}

export interface Loops {
  readonly nodes: ReconcileLoop<NodeId>
  readonly vms: Readonly<Record<VmOwner, ReconcileLoop<VmName>>>
  /** Call when a VM is declared for the first time or with an edit. */
  readonly declared: (vm: VmName) => void
  readonly forget: (vm: VmName) => void
  /** Starts no more runs; resolves once the current ones have ended. */
  readonly stop: () => Promise<void>
}

/** The four reconcilers, each with its queue and workers. */
export function reconcileLoops(ports: LoopsPorts, signal: AbortSignal): Loops {
  const { reconcilers, cluster, declaration, isSuspended, invalidate, onVmResult, onNodeWrite, ...rest } = ports
  const shared = { ...rest, concurrency }
  // Disruptive writes also need the lease, which may have moved to another controller without an event.
  const lease = disruptionLeaseName(cluster)
  const records = { assets: freshBefore(lease), services: freshBefore(lease), reachability: freshBefore() }

  function freshBefore(...others: readonly string[]): FreshRecords {
    return freshRecords({ invalidate: (vm) => [placementRecordName(vm), ...others].forEach(invalidate), isSuspended })
  }

  function ofVms(owner: VmOwner): ReconcileLoop<VmName> {
    const fresh = records[owner]
    const onStart = (vm: VmName): Declaration => {
      fresh.begin(vm)
      return declaration(vm)
    }
    const onResult = (vm: VmName, began: Declaration, result: RunResult): void => onVmResult(owner, vm, began, result)
    return reconcileLoop(reconcilers[owner], { ...shared, onStart, onResult, invalidateBefore: fresh.invalidateBefore }, signal)
  }

  const onNode = {
    onStart: () => undefined,
    onResult(_node: NodeId, _began: undefined, { applied }: RunResult) {
      if (applied > 0) onNodeWrite()
    },
  }
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
