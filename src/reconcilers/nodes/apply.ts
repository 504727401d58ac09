import type { NodesPorts } from './observe.ts'
import type { NodesAction } from './plan.ts'

/** One write with the version that was seen; a node that changed since refuses it with Conflict. */
export async function applyNode(ports: Pick<NodesPorts, 'swarm'>, action: NodesAction, signal: AbortSignal): Promise<void> {
  await ports.swarm.updateNodeLabels(action.node, action.labels, signal)
}
