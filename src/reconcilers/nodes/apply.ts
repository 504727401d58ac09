import { revokeGrant } from '../shared/revoke.ts'
import type { NodesPorts } from './observe.ts'
import type { NodesAction } from './plan.ts'

/** One write. Labels carry the version that was seen; a node that changed since refuses them with Conflict. */
export async function applyNode(ports: Pick<NodesPorts, 'swarm' | 'agents'>, action: NodesAction, signal: AbortSignal): Promise<void> {
  switch (action.kind) {
    case 'updateNodeLabels':
      return ports.swarm.updateNodeLabels(action.node, action.labels, signal)
    case 'revokeGrant':
      return revokeGrant(ports.agents, action, signal)
  }
}
