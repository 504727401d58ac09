import type { NodeFacts } from '../../api/wire/agent-api.ts'
import type { Agent, Agents } from '../../ports/agents.ts'
import type { Clock } from '../../ports/clock.ts'
import { PortError } from '../../ports/errors.ts'
import type { NodeId } from '../../api/names.ts'

export interface SeenAgent {
  readonly facts: NodeFacts | undefined
  readonly factsAtMs: number | undefined
  /** Why the last call failed; empty if it was answered. */
  readonly message: string
}

export interface ObservedAgents extends Agents {
  seen(nodeId: NodeId): SeenAgent | undefined
}

/** Forwards calls and keeps the last answer for display. Calls `onBack` when an agent answers again after a failure. */
export function observedAgents(agents: Agents, clock: Clock, onBack: (nodeId: NodeId) => void): ObservedAgents {
  const seen = new Map<string, SeenAgent>()

  function answered(nodeId: NodeId, requestedAtMs: number, facts?: NodeFacts): void {
    const before = seen.get(nodeId)
    const factsAtMs = facts === undefined ? before?.factsAtMs : requestedAtMs
    seen.set(nodeId, { facts: facts ?? before?.facts, factsAtMs, message: '' })
    if (before !== undefined && before.message !== '') onBack(nodeId)
  }

  function failed(nodeId: NodeId, message: string): void {
    const before = seen.get(nodeId)
    seen.set(nodeId, { facts: before?.facts, factsAtMs: before?.factsAtMs, message })
  }

  async function watch<Value>(nodeId: NodeId, call: Promise<Value>, factsOf?: (value: Value) => NodeFacts): Promise<Value> {
    // A slow answer is as old as its request.
    const requestedAtMs = clock.now()
    try {
      const value = await call
      answered(nodeId, requestedAtMs, factsOf?.(value))
      return value
    } catch (error) {
      // Any other error is an answer too.
      if (error instanceof PortError && error.kind === 'Unavailable') failed(nodeId, error.message)
      throw error
    }
  }

  function on(nodeId: NodeId): Agent {
    const agent = agents.on(nodeId)
    return {
      facts: (signal) => watch(nodeId, agent.facts(signal), (facts) => facts),
      instances: (signal) => watch(nodeId, agent.instances(signal)),
      prepare: (order, signal) => watch(nodeId, agent.prepare(order, signal)),
      progress: (question, signal) => watch(nodeId, agent.progress(question, signal)),
      revoke: (uid, signal) => watch(nodeId, agent.revoke(uid, signal)),
      deleteDisks: (order, signal) => watch(nodeId, agent.deleteDisks(order, signal)),
      vm: (uid, signal) => watch(nodeId, agent.vm(uid, signal)),
      control: (uid, action, signal) => watch(nodeId, agent.control(uid, action, signal)),
      probe: (request, signal) => watch(nodeId, agent.probe(request, signal)),
      unchanged: (known, signal) => watch(nodeId, agent.unchanged(known, signal)),
    }
  }

  return { on, seen: (nodeId) => seen.get(nodeId) }
}
