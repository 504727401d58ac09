import { nodeLabels } from '../../api/labels.ts'
import { somebodyElse } from '../shared/drift.ts'
import type { Drift, Effect } from '../reconciler.ts'
import type { NodesAction } from './plan.ts'

export function effectOfNodes(action: NodesAction): Effect {
  const { kind } = action
  switch (kind) {
    case 'updateNodeLabels':
      return { kind, disruptive: false, ...driftOf(action) }
    case 'revokeGrant':
      return { kind, disruptive: false }
    default:
      return kind satisfies never
  }
}

/** One event for each VM that a label pins to the node. */
function driftOf({ node, corrects, taken }: Extract<NodesAction, { kind: 'updateNodeLabels' }>): { readonly drift?: Drift } {
  if (corrects.length === 0) return {}
  const events = taken.map((label) => ({
    vm: label.slice(nodeLabels.vmPrefix.length),
    message: `${somebodyElse} removed or changed the label ${label} of node ${node.hostname}; restored`,
  }))
  return { drift: { kinds: corrects, counts: 'always', events } }
}
