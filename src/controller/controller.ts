import type { VmName } from '../api/names.ts'
import type { Agents } from '../ports/agents.ts'
import type { Clock } from '../ports/clock.ts'
import { messageOf } from '../api/error-message.ts'
import type { Log } from '../ports/log.ts'
import type { ControllerActions } from '../ports/controller-actions.ts'
import type { ManifestSource } from '../ports/manifest-source.ts'
import type { Metrics } from '../ports/metrics.ts'
import type { Random } from '../ports/random.ts'
import type { StatusView } from '../ports/status-view.ts'
import type { SwarmNode } from '../ports/swarm.ts'
import { changes } from './status/change-feed.ts'
import { controllerActions } from './api/actions.ts'
import type { DeclarationStore } from './declarations/store.ts'
import { agentRecheck } from './loop/agent-recheck.ts'
import { eventFollower } from './informer/event-stream.ts'
import type { DisruptionLease } from '../reconcilers/shared/disruption-lease.ts'
import type { Changed, InformedSwarm } from './informer/informed-swarm.ts'
import { persistTransitionTimes } from './status/persist-transition-times.ts'
import { pollTasks, resyncPeriodically } from './informer/resync.ts'
import { vmLifecycle } from './declarations/lifecycle.ts'
import { readManifests, reloadable } from './declarations/manifest-reader.ts'
import type { SeenAgent } from './informer/agent-liveness.ts'
import { type Reconcilers, reconcileLoops, vmOwners } from './loop/loops.ts'
import { requeue } from './loop/requeue.ts'
import { effectRecorder } from './status/effects.ts'
import { readiness } from './status/readiness.ts'
import { resultReporter } from './status/report-results.ts'
import type { Times } from './status/transition-times-config.ts'
import { statusStore } from './status/store.ts'
import { statusView } from './status/view.ts'
import { yieldToEventLoop } from './loop/yield-to-event-loop.ts'
import type { ClusterSnapshot } from './informer/cluster-snapshot.ts'
import type { NodeId } from '../api/names.ts'

export interface ControllerPorts {
  /** Shared with the reconcilers. */
  readonly informed: InformedSwarm
  readonly sources: readonly ManifestSource[]
  readonly store: DeclarationStore
  readonly reconcilers: Reconcilers
  /** Shared with the reconcilers. */
  readonly lease: Pick<DisruptionLease, 'answer' | 'release'>
  readonly agents: Agents
  readonly seenAgent: (nodeId: NodeId) => SeenAgent | undefined
  readonly metrics: Metrics
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly cluster: string
  readonly resyncMs: number
}

export interface Controller {
  readonly view: StatusView
  readonly actions: ControllerActions
  /** Call once. Works until the signal, then resolves once every run has ended. */
  run(signal: AbortSignal): Promise<void>
  /** Call when an agent answers again: keys in backoff run now. */
  agentIsBack(): void
}

/** Wires sources, informer, loops and status together. Decides nothing about VMs. */
export function controller(ports: ControllerPorts): Controller {
  const { informed, clock, log, store, lease, cluster, random, metrics } = ports
  const stopping = new AbortController()
  const feed = changes(clock)
  const status = statusStore(clock, log, (vm) => feed.note(vm))
  const { sources, reload } = reloadable(ports.sources)
  let snapshot: ClusterSnapshot | undefined
  const nodes = (): readonly SwarmNode[] => snapshot?.nodes ?? []
  const isReconciled = (vm: VmName): boolean => status.progress(vm).length === vmOwners.length

  const recheck = agentRecheck(ports.agents, clock, log)
  const effects = effectRecorder({ status, metrics, log })
  const loops = reconcileLoops(
    {
      reconcilers: ports.reconcilers,
      clock,
      random,
      log,
      metrics,
      cluster,
      agentRecheck: recheck,
      turn: yieldToEventLoop(clock),
      declaration: (vm) => store.get(vm),
      isSuspended: (vm) => status.progress(vm).some((one) => one.kind === 'suspended'),
      invalidate: informed.invalidateConfig,
      onVmResult: (...result) => report(...result),
      onNodeResult(result) {
        if (result.applied > 0) queues.onNodeWrite()
      },
    },
    stopping.signal,
  )
  const queues = requeue({ loops, informed, log, store, nodes, onManifests: reload, onLease: answerLease })
  const report = resultReporter({ store, status, effects, onWrite: queues.onWrite, newTask: queues.newTask })
  const life = vmLifecycle({
    store,
    status,
    log,
    isReconciled,
    onForgotten: loops.forget,
    onDeclared(vm) {
      loops.declared(vm)
      queues.vm(vm)
    },
  })
  const events = eventFollower({ swarm: informed.swarm, clock, random, log, onEvent: informed.applyEvent, ...queues })

  /** Answers another controller's request for the lease, which otherwise takes the lease. */
  function answerLease(): void {
    lease.answer().catch((error: unknown) => log.debug({ reason: messageOf(error) }, 'Cannot read the lease'))
  }

  function onSnapshot(seen: ClusterSnapshot, changed: Changed, isBack: boolean): void {
    answerLease()
    const earlier = nodes()
    const isFirst = snapshot === undefined
    snapshot = seen
    life.declared(store.setOwnedVms(seen.vms))
    life.forgetRemoved(seen.vms)
    // An event of an unknown node queues no run.
    for (const { id } of seen.nodes) if (earlier.every((node) => node.id !== id)) queues.node(id)
    if (earlier.length !== seen.nodes.length) log.info({ nodes: seen.nodes.map((node) => node.hostname) }, 'Nodes')
    // After dockerd did not answer, the event stream may be a dead connection.
    if (isBack || changed.missedEvent) events.suspect()
    if (isBack) queues.wakeAll()
    if (isBack || isFirst) queues.resyncAll()
    else queues.resyncSome(changed)
  }

  async function run(signal: AbortSignal): Promise<void> {
    signal.addEventListener('abort', () => stopping.abort(signal.reason), { once: true })
    const { resyncMs } = ports
    const times = { times: () => status.times(), remember: (known: Times) => status.remember(known) }
    const kept = persistTransitionTimes({ swarm: informed.swarm, clock, log, cluster, ...times }, signal)
    const resync = { informed, clock, log, cluster, resyncMs, onSnapshot, onTasks: queues.vms }
    await Promise.all([
      readManifests({ sources, store, clock, log, resyncMs, onRead: life.declared }, signal),
      resyncPeriodically(resync, signal),
      pollTasks(resync, signal),
      events.run(signal),
      recheck.run(signal),
    ])
    await Promise.all([loops.stop(), kept])
    await lease.release().catch((error: unknown) => log.info({ reason: messageOf(error) }, 'Cannot release the lease'))
  }

  const missing = readiness({ hasSnapshot: () => snapshot !== undefined, store, isReconciled })
  return {
    run,
    agentIsBack: queues.wakeAll,
    view: statusView({ store, status, changes: feed, nodes, seen: ports.seenAgent, missing }),
    actions: controllerActions({ store, swarm: informed.swarm, log, reload, lookAt: queues.now, onDeclared: life.declared }),
  }
}
