import type { VmName } from '../../api/names.ts'
import type { Reconciler } from '../reconciler.ts'
import type { AssetsAction } from './actions.ts'
import { applyAssets } from './apply.ts'
import { ledger } from '../shared/ledger.ts'
import { type AssetsPorts, type AssetsSeen, observeAssets } from './observe.ts'
import { planAssets } from './plan.ts'

export type { AssetsAction } from './actions.ts'
export type { AssetsPorts, AssetsSeen } from './observe.ts'

/** Gives a VM its identity and its node (the placement record) and has its image, disk, directories and grant made there. */
export function assetsReconciler(ports: AssetsPorts): Reconciler<VmName, AssetsSeen, AssetsAction> {
  const shared = { ...ports, ledger: ledger() }
  return {
    name: 'assets',
    observe: (vm, signal) => observeAssets(shared, vm, signal),
    plan: planAssets,
    apply: (action, signal) => applyAssets(shared, action, signal),
  }
}
