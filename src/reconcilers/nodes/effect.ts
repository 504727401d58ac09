import type { Effect } from '../reconciler.ts'
import type { NodesAction } from './plan.ts'

/** A label that somebody else changed is no drift of a VM: nobody can say who removed `vm-capable`. */
export function effectOfNodes({ kind }: NodesAction): Effect {
  return { kind, disruptive: false }
}
