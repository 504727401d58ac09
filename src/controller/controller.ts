import type { NodeId } from '../api/names.ts'
import { messageOf } from '../api/error-message.ts'
import type { Agents } from '../ports/agents.ts'
import type { Clock } from '../ports/clock.ts'
import type { ControllerActions } from '../ports/controller-actions.ts'
import type { Log } from '../ports/log.ts'
import type { ManifestSource } from '../ports/manifest-source.ts'
import type { Metrics } from '../ports/metrics.ts'
import type { Random } from '../ports/random.ts'
import type { StatusView } from '../ports/status-view.ts'
import type { DisruptionLease } from '../reconcilers/shared/disruption-lease.ts'
import { controllerActions } from './api/actions.ts'
import { vmLifecycle } from './declarations/lifecycle.ts'
import { readManifests, reloadable } from './declarations/manifest-reader.ts'
import type { DeclarationStore } from './declarations/store.ts'
import type { SeenAgent } from './informer/agent-liveness.ts'
import type { ClusterSnapshot } from './informer/cluster-snapshot.ts'
import { eventFollower } from './informer/event-stream.ts'
import type { Changed, InformedSwarm } from './informer/informed-swarm.ts'
import { pollTasks, resyncPeriodically } from './informer/resync.ts'
import { agentRecheck } from './loop/agent-recheck.ts'
import { type Reconcilers, reconcileLoops } from './loop/loops.ts'
import { requeue } from './loop/requeue.ts'
import { yieldToEventLoop } from './loop/yield-to-event-loop.ts'
import { persistTransitionTimes } from './status/persist-transition-times.ts'
import { reporting } from './status/reporting.ts'

export interface ControllerPorts {
  /** Shared with the reconcilers, as `lease` is. */
  readonly informed: InformedSwarm
  readonly sources: readonly ManifestSource[]
  readonly store: DeclarationStore
  readonly reconcilers: Reconcilers
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

/** Wires sources, informer, loops and status together, and decides nothing about VMs. */
export function controller(ports: ControllerPorts): Controller {
  const { informed, reconcilers, agents, clock, log, store, lease, cluster, random, metrics, resyncMs } = ports
  const { swarm } = informed
  const stopping = new AbortController()
  const { sources, reload } = reloadable(ports.sources)
  const { status, note, isReconciled, isSuspended, reporter, view } = reporting(ports)
  const recheck = agentRecheck(agents, clock, log)
  const shared = { clock, random, log, metrics, cluster }
  let snapshot: ClusterSnapshot | undefined

  const loops = reconcileLoops(
    {
      ...shared,
      reconcilers,
      isSuspended,
      agentRecheck: recheck,
      turn: yieldToEventLoop(clock),
      declaration: (vm) => store.get(vm),
      invalidate: informed.invalidateConfig,
      onVmResult: (...result) => report(...result),
      onNodeWrite: () => queues.onNodeWrite(),
    },
    stopping.signal,
  )
  const queues = requeue({ loops, informed, log, store, onManifests: reload, onLease: answerLease })
  const report = reporter(queues)
  const life = vmLifecycle({ store, status, log, isReconciled, onForgotten: loops.forget, onDeclared: queues.declared })
  const events = eventFollower({ ...shared, swarm, onEvent: informed.applyEvent, ...queues })

  /** Answers another controller's request for the lease, which otherwise takes the lease. */
  function answerLease(): void {
    lease.answer().catch((error: unknown) => log.debug({ reason: messageOf(error) }, 'Cannot read the lease'))
  }

  function onSnapshot(seen: ClusterSnapshot, changed: Changed, isBack: boolean): void {
    answerLease()
    snapshot = seen
    life.declared(store.setOwnedVms(seen.vms))
    life.forgetRemoved(seen.vms)
    // After dockerd did not answer, the event stream may be a dead connection.
    if (isBack || changed.missedEvent) events.suspect()
    queues.onSnapshot(seen.nodes, changed, isBack)
  }

  async function run(signal: AbortSignal): Promise<void> {
    signal.addEventListener('abort', () => stopping.abort(signal.reason), { once: true })
    const kept = persistTransitionTimes({ ...shared, swarm, status }, signal)
    const resync = { ...shared, informed, resyncMs, onSnapshot, onTasks: queues.tasks }
    await Promise.all([
      readManifests({ ...shared, sources, store, resyncMs, onRead: life.declared }, signal),
      resyncPeriodically(resync, signal),
      pollTasks(resync, signal),
      events.run(signal),
      recheck.run(signal),
    ])
    await Promise.all([loops.stop(), kept])
    await lease.release().catch((error: unknown) => log.info({ reason: messageOf(error) }, 'Cannot release the lease'))
  }

  return {
    run,
    agentIsBack: queues.wakeAll,
    view: view(() => snapshot?.nodes, ports.seenAgent),
    actions: controllerActions({ ...shared, store, swarm, agents, note, reload, lookAt: queues.now, onDeclared: life.declared }),
  }
}
