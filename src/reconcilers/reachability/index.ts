import type { VmName } from '../../api/names.ts'
import type { Reconciler } from '../reconciler.ts'
import { applyReachability } from './apply.ts'
import { observeReachability, type ReachabilityPorts, type ReachabilitySeen } from './observe.ts'
import { planReachability } from './plan.ts'

export type { ReachabilityPorts, ReachabilitySeen } from './observe.ts'

/** Checks a VM step by step, from a running guest to one that another node can reach. Read-only. */
export function reachabilityReconciler(ports: ReachabilityPorts): Reconciler<VmName, ReachabilitySeen, never> {
  return {
    name: 'reachability',
    observe: (vm, signal) => observeReachability(ports, vm, signal),
    plan: planReachability,
    apply: applyReachability,
    effectOf: (action) => action,
  }
}
