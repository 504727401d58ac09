import type { Reconciler } from '../reconciler.ts'
import { applyNode } from './apply.ts'
import { type NodesPorts, type NodesSeen, observeNode } from './observe.ts'
import { type NodesAction, planNode } from './plan.ts'

export type { NodesPorts, NodesSeen } from './observe.ts'
export type { NodesAction } from './plan.ts'

/** Keeps the labels of one Swarm node true; the key is the node's ID. */
export function nodesReconciler(ports: NodesPorts): Reconciler<string, NodesSeen, NodesAction> {
  return {
    name: 'nodes',
    observe: (nodeId, signal) => observeNode(ports, nodeId, signal),
    plan: planNode,
    apply: (action, signal) => applyNode(ports, action, signal),
  }
}
