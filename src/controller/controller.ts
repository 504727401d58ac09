import { disruptionLeaseName, placementRecordName, type VmName } from '../api/names.ts'
import type { Agents } from '../ports/agents.ts'
import type { Clock } from '../ports/clock.ts'
import { messageOf } from '../ports/errors.ts'
import type { Declaration } from '../ports/declarations.ts'
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
import { actionEvent } from './status/action-events.ts'
import { driftOf, driftText, nodeDrift } from './status/drift-events.ts'
import { evidenceBook } from './loop/agent-recheck.ts'
import { type EventFollower, eventFollower } from './informer/event-stream.ts'
import { freshRecords, type FreshRecords } from './loop/fresh-before-disruption.ts'
import type { DisruptionLease } from '../reconcilers/shared/disruption-lease.ts'
import type { Hint } from './informer/event-to-keys.ts'
import type { Changed, InformedSwarm } from './informer/informed-swarm.ts'
import { rotation } from './informer/rotation.ts'
import { keepTimes } from './status/persist-transition-times.ts'
import { followTasks, lookAround } from './informer/resync.ts'
import { readManifests, reloadable } from './declarations/manifest-reader.ts'
import { concernedBy } from './informer/node-changes.ts'
import type { SeenAgent } from './informer/agent-liveness.ts'
import { type ReconcileLoop, reconcileLoop } from './loop/reconcile-loop.ts'
import { reportOf } from './status/report.ts'
import type { AnyReconciler, RunResult } from './loop/reconcile-once.ts'
import { generationOf, type Report, statusStore } from './status/store.ts'
import { statusView } from './status/view.ts'
import { turns } from './loop/yield-to-event-loop.ts'
import type { World } from './informer/owned-objects.ts'

export interface ControllerPorts {
  /** The reconcilers read from the same. */
  readonly informed: InformedSwarm
  readonly sources: readonly ManifestSource[]
  readonly store: DeclarationStore
  readonly reconcilers: Readonly<Record<'nodes' | Report['owner'], AnyReconciler>>
  /** Reconcilers write under the same. */
  readonly lease: Pick<DisruptionLease, 'answer' | 'release'>
  readonly agents: Agents
  readonly seenAgent: (nodeId: string) => SeenAgent | undefined
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
  /** Works until the signal, then resolves when every run has ended. */
  run(signal: AbortSignal): Promise<void>
  /** An agent answers again: what waited for it is looked at now. */
  agentIsBack(): void
}

const vmOwners = ['assets', 'services', 'reachability'] as const
/** Those whose writes the other one waits for. */
const writers = ['assets', 'services'] as const
/** So many resyncs from one look at all nodes to the next. */
const nodesEvery = 6
/** VMs that are placed within this time get their node's labels together. */
const togetherMs = 50
/** Runs at once, per reconciler: enough that one slow agent holds nobody up, few enough for a manager's API. */
const concurrency = 8

/** Wires queues, hints, manifests and status. Decides nothing about VMs. */
export function controller(ports: ControllerPorts): Controller {
  const { store, clock, log } = ports
  const moved = changes(clock)
  const status = statusStore(clock, log, (vm) => moved.note(vm))
  const { sources, reload } = reloadable(ports.sources)
  let world: World | undefined
  let loops: Readonly<Record<'nodes' | Report['owner'], ReconcileLoop>> | undefined
  let events: EventFollower | undefined

  const evidence = evidenceBook(ports.agents, clock, log)

  function hintVm(vm: VmName): void {
    for (const owner of vmOwners) loops?.[owner].queue.add(vm)
  }

  /** A person asks: what was read before is not good enough, and no failure of before is a reason to wait. */
  function lookAt(vm: VmName): void {
    ports.informed.doubtAll()
    for (const owner of vmOwners) loops?.[owner].queue.forget(vm)
    hintVm(vm)
  }

  /** Has those look again whom it concerns how the nodes are now. */
  async function tellOfNodes(): Promise<void> {
    const concerned = await nodeNews()
    for (const vm of concerned === 'everybody' ? store.known() : concerned) if (store.knows(vm)) hintVm(vm)
  }

  let toldOf: readonly SwarmNode[] | undefined
  async function nodeNews(): Promise<ReturnType<typeof concernedBy>> {
    try {
      const nodes = await ports.informed.swarm.listNodes()
      const concerned = concernedBy(toldOf, nodes)
      toldOf = nodes
      return concerned
    } catch (error) {
      log.debug({ reason: messageOf(error) }, 'The nodes cannot be listed')
      return 'everybody'
    }
  }

  const records = {
    // A write that touches a guest or its disks also needs the lease, which may have gone to another controller without an event.
    assets: recordsFor(disruptionLeaseName(ports.cluster)),
    services: recordsFor(disruptionLeaseName(ports.cluster)),
    reachability: recordsFor(),
  }
  function recordsFor(...others: readonly string[]): FreshRecords {
    return freshRecords({
      doubt: (vm) => [placementRecordName(vm), ...others].forEach(doubtConfig),
      isSuspended: (vm) => status.progress(vm).some((one) => one.kind === 'suspended'),
    })
  }

  function doubtConfig(name: string): void {
    ports.informed.note({ type: 'config', action: 'doubt', id: '', name })
  }

  function hintNodes(): void {
    for (const node of world?.nodes ?? []) loops?.nodes.queue.add(node.id)
  }

  /** Keys that wait because they failed keep waiting: a resync is no reason to try sooner. */
  function resync(): void {
    resyncNodes()
    resyncVms(store.known())
  }

  function resyncNodes(): void {
    for (const node of world?.nodes ?? []) if (!loops?.nodes.queue.inBackoff(node.id)) loops?.nodes.queue.add(node.id)
  }

  function resyncVms(vms: readonly VmName[]): void {
    for (const vm of vms) {
      for (const owner of vmOwners) if (!loops?.[owner].queue.inBackoff(vm)) loops?.[owner].queue.add(vm)
    }
  }

  const inTurn = rotation()
  let looks = 0
  /** What changed without an event, and of the others a few in turn: everything is looked at again in the end, whatever was missed. */
  function resyncSome({ vms, nodes }: Changed): void {
    hintKnown(vms)
    if (nodes) return resync()
    resyncVms(inTurn(store.known()))
    // Each node asks for its next look itself, and each look lists tasks.
    if (looks % nodesEvery === 0) resyncNodes()
    looks += 1
  }

  /** A gap: what happened meanwhile is not known. */
  function onGap(): void {
    ports.informed.doubtAll()
    resync()
  }

  function wakeAll(): void {
    for (const loop of Object.values(loops ?? {})) loop.queue.wake()
  }

  function declared(changed: readonly VmName[]): void {
    for (const vm of changed) {
      if (!store.knows(vm)) {
        status.forget(vm)
        for (const owner of vmOwners) records[owner].forget(vm)
        continue
      }
      status.declared(vm, store.get(vm), store.valid(vm))
      for (const owner of writers) records[owner].declared(vm)
      hintVm(vm)
    }
  }

  /** A controller that asks is not kept waiting; one that gets no answer takes the lease. */
  function answerOthers(): void {
    ports.lease.answer().catch((error: unknown) => log.debug({ reason: messageOf(error) }, 'The lease cannot be read'))
  }

  function onHint(hint: Hint): void {
    if (hint.kind === 'lease') answerOthers()
    else if (hint.kind === 'vm') hintVm(hint.vm)
    else if (hint.kind === 'manifests') reload()
    else if (hint.kind === 'nodes') {
      hintNodes()
      for (const vm of store.known()) hintVm(vm)
    } else if (hint.kind === 'node') {
      hintNodes()
      void tellOfNodes()
    }
  }

  function onVmResult(owner: Report['owner'], vm: VmName, began: Declaration, result: RunResult): void {
    if (result.applied > 0) {
      // What a guest does follows from its task, and a new one is told of below.
      for (const other of writers) if (other !== owner) loops?.[other].queue.add(vm)
      // A placement record has to become a node label, and the service waits for that; those of VMs that are placed together are one write.
      if (owner === 'assets') for (const node of world?.nodes ?? []) loops?.nodes.queue.addAfter(node.id, togetherMs)
      countDrift(vm, result)
    }
    const declaration = store.get(vm)
    // A run that began when the VM was declared otherwise says nothing about what is declared now; the next one is queued already.
    if (began.kind !== declaration.kind || !store.knows(vm)) return
    const report = reportOf(owner, result, declaration.kind)
    if (report === undefined) return
    if (status.report(vm, generationOf(began), report).newTask) loops?.reachability.queue.add(vm)
  }

  function countDrift(vm: VmName, result: RunResult): void {
    const hadService = status.view(vm, store.get(vm)).timeline['service'] !== undefined
    countActions(result, hadService)
    const applied = appliedIn(result)
    for (const event of applied.flatMap((action) => actionEvent(action, hadService) ?? [])) status.note(vm, event)
    for (const message of applied.flatMap((action) => driftText(action, hadService) ?? [])) noteDrift(vm, message)
  }

  function noteDrift(vm: VmName, message: string): void {
    status.note(vm, { type: 'Drift', status: '', reason: 'PutBack', message })
    log.info({ vm, message }, 'Put back')
  }

  function appliedIn(result: RunResult): readonly unknown[] {
    return result.kind === 'planned' ? result.plan.actions : []
  }

  function countActions(result: RunResult, hadService: boolean): void {
    const applied = appliedIn(result)
    for (const kind of applied.flatMap((action) => driftOf(action, hadService))) ports.metrics.driftCorrected(kind)
  }

  /** A removed VM is forgotten once nothing of it is left and everybody has said so. */
  function forgetGone(): void {
    for (const vm of store.known()) {
      if (store.get(vm).kind !== 'removed' || world?.vms.has(vm) !== false) continue
      const progress = status.progress(vm)
      if (progress.length < vmOwners.length || progress.some((one) => one.kind !== 'settled')) continue
      declared(store.forget(vm))
      log.info({ vm }, 'Removed')
    }
  }

  function onLook(seen: World, changed: Changed, isBack: boolean): void {
    answerOthers()
    const known: readonly SwarmNode[] = world?.nodes ?? []
    const isFirst = world === undefined
    world = seen
    declared(store.setWorld(seen.vms))
    forgetGone()
    // A hint of a node that was not known yet had nobody look at it.
    for (const { id } of seen.nodes) if (known.every((node) => node.id !== id)) loops?.nodes.queue.add(id)
    if (known.length !== seen.nodes.length) log.info({ nodes: seen.nodes.map((node) => node.hostname) }, 'Nodes')
    // Where dockerd did not answer, its stream may be a connection to nobody.
    if (isBack || changed.unheard) events?.suspect()
    if (isBack) wakeAll()
    if (isBack || isFirst) resync()
    else resyncSome(changed)
  }

  function hintKnown(vms: readonly VmName[]): void {
    for (const vm of vms) if (store.knows(vm)) hintVm(vm)
  }

  function startLoops(signal: AbortSignal): Readonly<Record<'nodes' | Report['owner'], ReconcileLoop>> {
    const { random, metrics } = ports
    const shared = { clock, random, log, metrics, concurrency, evidence, turn: turns(clock) }
    const ofVm = (owner: Report['owner']): ReconcileLoop =>
      reconcileLoop(
        ports.reconcilers[owner],
        {
          ...shared,
          onStart(vm) {
            records[owner].begin(vm)
            return store.get(vm)
          },
          onResult: (vm, began, result) => onVmResult(owner, vm, began, result),
          doubtBefore: records[owner].doubtBefore,
        },
        signal,
      )
    const onNode = (_node: string, _began: undefined, result: RunResult): void => {
      countActions(result, false)
      for (const { vm, message } of appliedIn(result).flatMap(nodeDrift)) if (store.knows(vm)) noteDrift(vm, message)
      if (result.applied > 0) void tellOfNodes()
    }
    return {
      nodes: reconcileLoop(ports.reconcilers.nodes, { ...shared, onStart: () => undefined, onResult: onNode }, signal),
      assets: ofVm('assets'),
      services: ofVm('services'),
      reachability: ofVm('reachability'),
    }
  }

  async function run(signal: AbortSignal): Promise<void> {
    const { informed, random, resyncMs, cluster } = ports
    const kept = keepTimes(
      { swarm: informed.swarm, clock, log, cluster, times: () => status.times(), remember: (times) => status.remember(times) },
      signal,
    )
    loops = startLoops(signal)
    const looking = { informed, clock, log, cluster, resyncMs, onLook, onTasks: hintKnown }
    const follower = eventFollower({ swarm: informed.swarm, clock, random, log, onEvent: informed.note, onHint, onGap })
    events = follower
    await Promise.all([
      readManifests({ sources, store, clock, log, resyncMs, onRead: declared }, signal),
      lookAround(looking, signal),
      followTasks(looking, signal),
      follower.run(signal),
      evidence.run(signal),
    ])
    await Promise.all([...Object.values(loops).map((loop) => loop.stop()), kept])
    await ports.lease.release().catch((error: unknown) => log.info({ reason: messageOf(error) }, 'The lease could not be released'))
  }

  /** Nodes and manifests were read, and every VM was looked at by everybody at least once. */
  function missing(): string {
    if (world === undefined) return 'the Swarm has not answered yet'
    if (!store.complete()) return 'the manifests have not been read completely yet'
    const unseen = store.known().filter((vm) => status.progress(vm).length < vmOwners.length)
    return unseen.length === 0 ? '' : `${unseen.length} VMs have not been looked at yet`
  }

  let passed = false
  const missingOnce = (): string => {
    const now = passed ? '' : missing()
    passed = now === ''
    return now
  }
  const view = statusView({ store, status, changes: moved, nodes: () => world?.nodes ?? [], seen: ports.seenAgent, missing: missingOnce })
  const actions = controllerActions({ store, swarm: ports.informed.swarm, log, reload, lookAt, onDeclared: declared })
  return { view, actions, run, agentIsBack: wakeAll }
}
