import type { NodeId, VmUid } from '../../api/names.ts'
import type { Reconciler } from '../reconciler.ts'
import { applyNode } from './apply.ts'
import { effectOfNodes } from './effect.ts'
import { type NodesPorts, observeNode } from './observe.ts'
import type { NodesSeen } from './seen.ts'
import { type NodesAction, planNode } from './plan.ts'

export type { NodesPorts } from './observe.ts'
export type { NodesSeen } from './seen.ts'
export type { NodesAction } from './plan.ts'

/** Nodes are reconciled every few seconds, but reading an inventory is expensive, and grants without an owner can wait. */
const sweepEveryMs = 60_000
/** A suspected grant is checked again after this time, which is longer than any manager lags behind. */
const confirmAfterMs = 8_000

/** Keeps the labels of one Swarm node correct, and revokes grants without an owner. The key is the node ID. */
export function nodesReconciler(ports: NodesPorts): Reconciler<NodeId, NodesSeen, NodesAction> {
  const sweptAtMs = new Map<string, number>()
  const suspects = new Map<string, readonly VmUid[]>()

  function isDue(nodeId: NodeId): boolean {
    const nowMs = ports.clock.elapsed()
    const sinceMs = nowMs - (sweptAtMs.get(nodeId) ?? Number.NEGATIVE_INFINITY)
    const isSuspected = (suspects.get(nodeId) ?? []).length > 0
    if (sinceMs < (isSuspected ? confirmAfterMs : sweepEveryMs)) return false
    sweptAtMs.set(nodeId, nowMs)
    return true
  }

  return {
    name: 'nodes',
    async observe(nodeId, signal) {
      if (!isDue(nodeId)) return observeNode(ports, nodeId, false, signal)
      const seen = await observeNode(ports, nodeId, true, signal)
      const before = suspects.get(nodeId) ?? []
      suspects.set(nodeId, seen.ownerless)
      // Something that was just removed manually may be about to be restored.
      return { ...seen, ownerless: seen.ownerless.filter((uid) => before.includes(uid)) }
    },
    plan: planNode,
    apply: (action, signal) => applyNode(ports, action, signal),
    effectOf: effectOfNodes,
  }
}
