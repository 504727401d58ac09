import type { VmName } from '../../api/names.ts'
import type { Reconciler } from '../reconciler.ts'
import type { ServicesAction } from './actions.ts'
import { applyServices } from './apply.ts'
import { observeServices, type ServicesPorts, type ServicesSeen } from './observe.ts'
import { planServices } from './plan.ts'

export type { ServicesAction } from './actions.ts'
export type { ServicesPorts, ServicesSeen } from './observe.ts'

/** Keeps the Swarm service of a VM, its launch config and its secret as the manifest says, without restarting what need not restart. */
export function servicesReconciler(ports: ServicesPorts): Reconciler<VmName, ServicesSeen, ServicesAction> {
  return {
    name: 'services',
    observe: (vm, signal) => observeServices(ports, vm, signal),
    plan: planServices,
    apply: (action, signal) => applyServices(ports, action, signal),
  }
}
