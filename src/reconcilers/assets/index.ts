import type { VmName } from '../../api/names.ts'
import type { Reconciler } from '../reconciler.ts'
import type { AssetsAction } from './actions.ts'
import { applyAssets } from './apply.ts'
import { effectOfAssets } from './effect.ts'
import { needsLease } from './disruption.ts'
import { assumedPlacements } from '../shared/assumed-placements.ts'
import { suspensionOf } from '../shared/suspension.ts'
import { type AssetsPorts, type AssetsSeen, observeAssets } from './observe.ts'
import { askProgress, type OrderAnswers } from './order-answers.ts'
import { planAssets } from './plan.ts'

export type { AssetsAction } from './actions.ts'
export type { AssetsPorts, AssetsSeen } from './observe.ts'

/** Gives a VM its identity and node (the placement record), and has the node prepare its image, disks, directories and grant. */
export function assetsReconciler(ports: AssetsPorts): Reconciler<VmName, AssetsSeen, AssetsAction> {
  const answers: OrderAnswers = new Map()
  const shared = { ...ports, answers, assumed: assumedPlacements() }
  return {
    name: 'assets',
    async observe(vm, signal) {
      const seen = await observeAssets({ ...shared, suspensionOf, askProgress: askProgress(answers, vm) }, vm, signal)
      // The time does not matter here: it does not change whether a plan needs the lease.
      return needsLease(seen, planAssets(seen, 0)) ? { ...seen, lease: await ports.lease.observe(signal) } : seen
    },
    plan: planAssets,
    apply: (action, signal) => applyAssets(shared, action, signal),
    effectOf: effectOfAssets,
  }
}
