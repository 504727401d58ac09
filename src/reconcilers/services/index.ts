import type { VmName } from '../../api/names.ts'
import type { Reconciler } from '../reconciler.ts'
import { assumedPlacements } from '../shared/assumed-placements.ts'
import type { ServicesAction } from './actions.ts'
import { applyServices } from './apply.ts'
import { effectOfServices } from './effect.ts'
import { disruptionOf } from './disruption.ts'
import { observeServices, type ServicesPorts, type ServicesSeen } from './observe.ts'
import { planServices } from './plan.ts'

export type { ServicesAction } from './actions.ts'
export type { ServicesPorts, ServicesSeen } from './observe.ts'

/** Reconciles a VM's Swarm service, launch config and secret with its manifest, without needless restarts. */
export function servicesReconciler(ports: ServicesPorts): Reconciler<VmName, ServicesSeen, ServicesAction> {
  const shared = { ...ports, assumed: assumedPlacements() }
  return {
    name: 'services',
    async observe(vm, signal) {
      const mark = shared.assumed.mark()
      const seen = { ...(await observeServices(ports, vm, signal)), mark }
      // The time does not matter here: it does not change the disruption of a plan.
      return disruptionOf(seen, planServices(seen, 0)) === 'none' ? seen : { ...seen, lease: await ports.lease.observe(signal) }
    },
    plan: planServices,
    apply: (action, signal) => applyServices(shared, action, signal),
    effectOf: effectOfServices,
  }
}
