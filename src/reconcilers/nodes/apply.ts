import { unlessGone } from '../shared/answers.ts'
import type { NodesPorts } from './observe.ts'
import type { NodesAction } from './plan.ts'

/** Applies one write. Labels are written with the observed version; Conflict if the node has changed since. */
export async function applyNode(ports: Pick<NodesPorts, 'swarm' | 'agents'>, action: NodesAction, signal: AbortSignal): Promise<void> {
  switch (action.kind) {
    case 'updateNodeLabels':
      return ports.swarm.updateNodeLabels(action.node, action.labels, signal)
    case 'revokeGrant':
      return unlessGone(ports.agents.on(action.nodeId).revoke(action.uid, signal))
  }
}
