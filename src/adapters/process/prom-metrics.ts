import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { VmView } from '../../api/wire/controller-api.ts'
import { nodeLabels } from '../../api/labels.ts'
import type { Metrics, QueueState, ReconcileResult } from '../../ports/metrics.ts'
import { driftKinds } from '../../api/drift-kinds.ts'
import type { StatusView } from '../../ports/status-view.ts'

const controllers = ['nodes', 'assets', 'services', 'reachability']
const results: readonly ReconcileResult[] = ['success', 'error', 'requeue', 'requeue_after']
/** Gauges of prom-client with counter-like names, which `promtool check metrics` rejects. */
const misnamed = ['nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total']

export interface PromMetrics extends Metrics {
  /** Gauges are read from this view at each scrape, so that no series outlives its VM. */
  show(view: StatusView): void
}

/** All metrics of the controller. Names of the reconcile loop are those of controller-runtime and client-go, which dashboards know. */
export function promMetrics(release: string): PromMetrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  for (const name of misnamed) registry.removeSingleMetric(name)
  const counters = loopMetrics(registry)
  new Gauge({
    name: 'swarmvirt_build_info',
    help: 'Constant 1, labelled with the release.',
    labelNames: ['release'],
    registers: [registry],
  }).set({ release }, 1)
  return {
    ...counters,
    show: (view) => shownMetrics(registry, view),
    expose: async () => ({ contentType: registry.contentType, text: await registry.metrics() }),
  }
}

function loopMetrics(registry: Registry): Omit<PromMetrics, 'show' | 'expose'> {
  const counter = (name: string, help: string, labelNames: string[]) => new Counter({ name, help, labelNames, registers: [registry] })
  const histogram = (name: string, help: string, labelNames: string[], buckets: readonly number[]) =>
    new Histogram({ name, help, labelNames, buckets: [...buckets], registers: [registry] })
  const by = ['controller']
  const total = counter('controller_runtime_reconcile_total', 'Runs of a reconciler by how they ended.', [...by, 'result'])
  const errors = counter('controller_runtime_reconcile_errors_total', 'Runs of a reconciler that failed.', by)
  const refusals = counter('controller_runtime_terminal_reconcile_errors_total', 'Runs that were refused until something changes.', by)
  const panics = counter('controller_runtime_reconcile_panics_total', 'Runs that ended in a way no run may: a bug.', by)
  const seconds = histogram('controller_runtime_reconcile_time_seconds', 'How long a run of a reconciler took.', by, runBuckets)
  const ofQueue = ['name', 'controller']
  const adds = counter('workqueue_adds_total', 'Keys added to the queue.', ofQueue)
  const retries = counter('workqueue_retries_total', 'Keys added again after a failure.', ofQueue)
  const waited = histogram('workqueue_queue_duration_seconds', 'How long a key was ready before it was taken.', ofQueue, queueBuckets)
  const worked = histogram('workqueue_work_duration_seconds', 'How long a key was worked on.', ofQueue, queueBuckets)
  const drift = counter('swarmvirt_drift_corrections_total', 'Changes by others in the Swarm that were corrected.', ['kind'])
  const labels = (name: string): Record<string, string> => ({ name, controller: name })
  // Preset to 0: rate() would miss the first error of a new series.
  for (const controller of controllers) {
    for (const result of results) total.inc({ controller, result }, 0)
    for (const one of [errors, refusals, panics]) one.inc({ controller }, 0)
    for (const one of [adds, retries]) one.inc(labels(controller), 0)
  }
  for (const kind of driftKinds) drift.inc({ kind }, 0)
  return {
    reconciled(controller, result, took) {
      total.inc({ controller, result })
      if (result === 'error') errors.inc({ controller })
      seconds.observe({ controller }, took)
    },
    refused: (controller) => refusals.inc({ controller }),
    panicked: (controller) => panics.inc({ controller }),
    queueAdded: (name) => adds.inc(labels(name)),
    queueRetried: (name) => retries.inc(labels(name)),
    queueWaited: (name, took) => waited.observe(labels(name), took),
    queueWorked: (name, took) => worked.observe(labels(name), took),
    watchQueue: watchedQueues(registry),
    driftCorrected: (kind) => drift.inc({ kind }),
  }
}

/** controller-runtime's buckets, so that dashboards can add up several operators. */
const runBuckets = [
  0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.25, 1.5, 1.75, 2, 2.5, 3, 3.5, 4, 4.5,
  5, 6, 7, 8, 9, 10, 15, 20, 25, 30, 40, 50, 60,
]
/** controller-runtime's buckets for client-go's queue: powers of ten. */
const queueBuckets = [1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1, 10, 100, 1000]

/** Gauges of the queues' content at scrape time. */
function watchedQueues(registry: Registry): PromMetrics['watchQueue'] {
  const queues = new Map<string, { readonly workers: number; readonly state: () => QueueState }>()
  const of = (name: string, help: string, labelOf: (queue: string) => Record<string, string>, value: (state: QueueState) => number): void =>
    shownGauge(registry, name, help, Object.keys(labelOf('')), (set) => {
      for (const [queue, { state }] of queues) set(labelOf(queue), value(state()))
    })
  const both = (queue: string): Record<string, string> => ({ name: queue, controller: queue })
  const one = (controller: string): Record<string, string> => ({ controller })
  const sum = (all: readonly number[]): number => all.reduce((so, each) => so + each, 0)
  of('workqueue_depth', 'Keys that are ready and wait for a worker.', both, ({ depth }) => depth)
  of('workqueue_unfinished_work_seconds', 'Work under way, summed over keys.', both, ({ workingSeconds }) => sum(workingSeconds))
  of('workqueue_longest_running_processor_seconds', 'Age of the oldest run.', both, ({ workingSeconds }) => Math.max(0, ...workingSeconds))
  of('controller_runtime_active_workers', 'Runs under way.', one, ({ workingSeconds }) => workingSeconds.length)
  shownGauge(registry, 'controller_runtime_max_concurrent_reconciles', 'Runs that may be under way at once.', ['controller'], (set) => {
    for (const [queue, { workers }] of queues) set({ controller: queue }, workers)
  })
  return (controller, workers, state) => void queues.set(controller, { workers, state })
}

/** Created at every scrape, so that no series outlives its object. */
function shownGauge(registry: Registry, name: string, help: string, labelNames: string[], fill: (set: SetGauge) => void): void {
  const made = new Gauge({
    name,
    help,
    labelNames,
    registers: [],
    collect() {
      this.reset()
      fill((labels, value) => this.set(labels, value))
    },
  })
  registry.registerMetric(made)
}

function shownMetrics(registry: Registry, view: StatusView): void {
  const gauge = (name: string, help: string, labelNames: string[], fill: (set: SetGauge) => void): void =>
    shownGauge(registry, name, help, labelNames, fill)
  vmMetrics(gauge, view)
  nodeMetrics(gauge, view)
  sourceMetrics(gauge, view)
}

type AddGauge = (name: string, help: string, labelNames: string[], fill: (set: SetGauge) => void) => void

/** At most twenty series per VM: one for each condition, and three more. */
function vmMetrics(gauge: AddGauge, view: StatusView): void {
  gauge('swarmvirt_vm_status_condition', 'A condition of a VM: 1 True, 0 False, -1 Unknown.', ['vm', 'type'], (set) => {
    for (const vm of view.vms()) for (const one of vm.conditions) set({ vm: vm.name, type: one.type }, conditionValues[one.status])
  })
  gauge('swarmvirt_vm_info', 'Constant 1, labelled with what is known about a VM.', ['vm', 'phase', ...infoLabels], (set) => {
    for (const vm of view.vms()) set({ vm: vm.name, phase: vm.phase, ...infoOf(vm) }, 1)
  })
  gauge(
    'swarmvirt_vm_generation',
    'The declared generation of a VM: the first 48 bits of its hash, for comparison only.',
    ['vm'],
    (set) => {
      for (const vm of view.vms()) set({ vm: vm.name }, generationNumber(vm.generation))
    },
  )
  gauge('swarmvirt_vm_observed_generation', 'The observed generation of a VM, in the same format.', ['vm'], (set) => {
    for (const vm of view.vms()) set({ vm: vm.name }, generationNumber(vm.observedGeneration))
  })
}

/** A float64 holds 48 bits exactly. 0 if there is none. */
function generationNumber(generation: string): number {
  const number = Number.parseInt(generation.slice(0, 12), 16)
  return Number.isNaN(number) ? 0 : number
}

function nodeMetrics(gauge: AddGauge, view: StatusView): void {
  gauge('swarmvirt_node_capable', '1 where a node may run VMs, by its label.', ['node'], (set) => {
    for (const node of view.nodes()) set({ node: node.hostname }, node.labels[nodeLabels.vmCapable] === 'true' ? 1 : 0)
  })
  gauge('swarmvirt_node_agent_up', '1 if the agent of a node answered the last call.', ['node'], (set) => {
    for (const node of view.nodes()) set({ node: node.hostname }, node.agentMessage === '' ? 1 : 0)
  })
  gauge('swarmvirt_node_info', 'Constant 1, labelled with facts of the Swarm and the agent about a node.', nodeInfoLabels, (set) => {
    for (const node of view.nodes()) {
      const accel = node.labels[nodeLabels.accel] ?? ''
      set({ node: node.hostname, role: node.role, state: node.state, availability: node.availability, accel }, 1)
    }
  })
  gauge('swarmvirt_vm_overuse_bytes', 'Space that a VM uses in the state root beyond its disks; absent if none.', ['node', 'vm'], (set) => {
    for (const { hostname, facts } of view.nodes())
      for (const { vm, usedBytes, allowedBytes } of facts?.overuse ?? [])
        if (vm !== null) set({ node: hostname, vm }, Math.max(0, usedBytes - allowedBytes))
  })
  gauge('swarmvirt_node_state_root_free_bytes', 'Free space in the state root of a node, as its agent last reported.', ['node'], (set) => {
    for (const { hostname, facts } of view.nodes()) if (facts !== null) set({ node: hostname }, facts.disk.freeBytes)
  })
}

function sourceMetrics(gauge: AddGauge, view: StatusView): void {
  gauge('swarmvirt_source_complete', '1 where the last read of a manifest source was complete.', ['source'], (set) => {
    for (const { source, complete } of view.sources().sources) set({ source }, complete ? 1 : 0)
  })
  gauge('swarmvirt_source_info', 'Constant 1, labelled with the revision a manifest source stands at.', ['source', 'revision'], (set) => {
    for (const { source, revision } of view.sources().sources) set({ source, revision }, 1)
  })
  gauge('swarmvirt_source_removal_withheld', '1 while removals are blocked because too many VMs are missing at once.', [], (set) => {
    set({}, view.sources().stalled === null ? 0 : 1)
  })
  gauge('swarmvirt_source_ignored_documents', 'Documents of other kinds in a manifest source, which hold no VM.', ['source'], (set) => {
    for (const { source, documents } of view.sources().sources) set({ source }, documents.ignored)
  })
  gauge('swarmvirt_source_documents', 'Valid and invalid documents of a manifest source.', ['source', 'valid'], (set) => {
    for (const { source, documents } of view.sources().sources) {
      set({ source, valid: 'true' }, documents.valid)
      set({ source, valid: 'false' }, documents.invalid)
    }
  })
}

type SetGauge = (labels: Record<string, string>, value: number) => void
const conditionValues = { True: 1, False: 0, Unknown: -1 } as const
/** No UID and no MAC: readers of metrics do not need them, and both help an attacker. */
const infoLabels = ['node', 'accelerator', 'ip']
const nodeInfoLabels = ['node', 'role', 'state', 'availability', 'accel']

function infoOf(vm: VmView): Record<string, string> {
  return Object.fromEntries(infoLabels.map((label) => [label, vm.facts[label] ?? '']))
}
