import type { VmUid } from '../../api/names.ts'
import type { Reconciler } from '../reconciler.ts'
import { applyNode } from './apply.ts'
import { effectOfNodes } from './effect.ts'
import { type NodesPorts, observeNode } from './observe.ts'
import type { NodesSeen } from './seen.ts'
import { type NodesAction, planNode } from './plan.ts'

export type { NodesPorts } from './observe.ts'
export type { NodesSeen } from './seen.ts'
export type { NodesAction } from './plan.ts'

/** Nodes are looked at every few seconds; what is left without an owner can wait, and a long inventory costs something. */
const sweepEveryMs = 60_000
/** What was found once is looked at again this soon: later than any manager lags behind. */
const confirmAfterMs = 8_000

/** Keeps the labels of one Swarm node true, and takes back grants that nobody owns; the key is the node's ID. */
export function nodesReconciler(ports: NodesPorts): Reconciler<string, NodesSeen, NodesAction> {
  const sweptAtMs = new Map<string, number>()
  const suspects = new Map<string, readonly VmUid[]>()

  function isDue(nodeId: string): boolean {
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
      // What was removed by hand a moment ago may be on its way back.
      return { ...seen, ownerless: seen.ownerless.filter((uid) => before.includes(uid)) }
    },
    plan: planNode,
    apply: (action, signal) => applyNode(ports, action, signal),
    effectOf: effectOfNodes,
  }
}
