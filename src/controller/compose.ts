import type { Agents } from '../ports/agents.ts'
import type { Clock } from '../ports/clock.ts'
import type { Inspection } from '../ports/inspection.ts'
import type { Log } from '../ports/log.ts'
import type { ManifestSource } from '../ports/manifest-source.ts'
import type { Metrics } from '../ports/metrics.ts'
import type { Random } from '../ports/random.ts'
import type { ClusterSettings } from '../ports/settings.ts'
import { assetsReconciler } from '../reconcilers/assets/index.ts'
import { nodesReconciler } from '../reconcilers/nodes/index.ts'
import { reachabilityReconciler } from '../reconcilers/reachability/index.ts'
import { servicesReconciler } from '../reconcilers/services/index.ts'
import { disruptionLease } from '../reconcilers/shared/disruption-lease.ts'
import { inspection } from './api/dry-run.ts'
import { type Controller, controller } from './controller.ts'
import type { DeclarationStore } from './declarations/store.ts'
import { observedAgents } from './informer/agent-liveness.ts'
import type { InformedSwarm } from './informer/informed-swarm.ts'
import { livePlacements } from './informer/placement-index.ts'
import { agentBreaker } from './loop/agent-breaker.ts'

export interface ComposePorts {
  readonly informed: InformedSwarm
  readonly sources: readonly ManifestSource[]
  readonly declarations: DeclarationStore
  /** The nodes' agents, as the adapter gives them. */
  readonly agents: Agents
  readonly settings: ClusterSettings
  readonly metrics: Metrics
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly resyncMs: number
  /** Unique to this controller process. */
  readonly id: string
}

/** The controller with its reconcilers and everything that they share, on any Swarm, sources and agents. */
export function compose(ports: ComposePorts): Controller & { readonly inspection: Inspection } {
  const { informed, sources, declarations, settings, metrics, clock, random, log, resyncMs, id } = ports
  const { swarm, recent } = informed
  const { cluster } = settings
  const agents = observedAgents(agentBreaker(ports.agents, clock), clock, () => built.agentIsBack())
  const placements = livePlacements({ informed, declarations, settings })
  const lease = disruptionLease({ swarm, recent, clock, log, cluster, id })
  const shared = { swarm, recent, placements, lease, agents, declarations, settings, clock, random }
  const reconcilers = {
    nodes: nodesReconciler(shared),
    assets: assetsReconciler(shared),
    services: servicesReconciler(shared),
    reachability: reachabilityReconciler(shared),
  }
  const rest = { informed, sources, lease, agents, reconcilers, metrics, clock, random, log, cluster, resyncMs }
  const built = controller({ ...rest, store: declarations, seenAgent: (nodeId) => agents.seen(nodeId) })
  return { ...built, inspection: inspection({ ...shared, view: built.view }) }
}
