import type { Effect } from '../reconciler.ts'
import type { NodesAction } from './plan.ts'

/** A changed node label is not VM drift: nobody knows who removed `vm-capable`. */
export function effectOfNodes({ kind }: NodesAction): Effect {
  return { kind, disruptive: false }
}
