import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { VmView } from '../api/wire/controller-api.ts'
import { nodeLabels } from '../api/labels.ts'
import { driftKinds, type Metrics, type ReconcileResult } from '../ports/metrics.ts'
import type { StatusView } from '../ports/status-view.ts'

const controllers = ['nodes', 'assets', 'services', 'reachability']
const results: readonly ReconcileResult[] = ['success', 'error', 'requeue', 'requeue_after']
/** Gauges of prom-client that are named like counters, which `promtool check metrics` refuses. */
const misnamed = ['nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total']

export interface PromMetrics extends Metrics {
  /** Gauges come from here whenever they are scraped, so that nothing of a VM outlives it. */
  show(view: StatusView): void
}

/** Every metric of the controller. Names of the reconcile loop are controller-runtime's and client-go's, which dashboards know. */
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
  const registers = [registry]
  const total = new Counter({
    name: 'controller_runtime_reconcile_total',
    help: 'Runs of a reconciler by how they ended.',
    labelNames: ['controller', 'result'],
    registers,
  })
  const errors = new Counter({
    name: 'controller_runtime_reconcile_errors_total',
    help: 'Runs of a reconciler that failed.',
    labelNames: ['controller'],
    registers,
  })
  const seconds = new Histogram({
    name: 'controller_runtime_reconcile_time_seconds',
    help: 'How long a run of a reconciler took.',
    labelNames: ['controller'],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    registers,
  })
  const depth = new Gauge({ name: 'workqueue_depth', help: 'Keys that are ready and wait for a worker.', labelNames: ['name'], registers })
  const adds = new Counter({ name: 'workqueue_adds_total', help: 'Keys added to the queue.', labelNames: ['name'], registers })
  const retries = new Counter({
    name: 'workqueue_retries_total',
    help: 'Keys added again after a failure.',
    labelNames: ['name'],
    registers,
  })
  const drift = new Counter({
    name: 'swarmvirt_drift_corrections_total',
    help: 'What was changed in the Swarm by somebody else and was put back.',
    labelNames: ['kind'],
    registers,
  })
  // A series that appears with its first error hides that error from rate().
  for (const controller of controllers) {
    for (const result of results) total.inc({ controller, result }, 0)
    errors.inc({ controller }, 0)
    depth.set({ name: controller }, 0)
    adds.inc({ name: controller }, 0)
    retries.inc({ name: controller }, 0)
  }
  for (const kind of driftKinds) drift.inc({ kind }, 0)
  return {
    reconciled(controller, result, took) {
      total.inc({ controller, result })
      if (result === 'error') errors.inc({ controller })
      seconds.observe({ controller }, took)
    },
    queueAdded: (name) => adds.inc({ name }),
    queueRetried: (name) => retries.inc({ name }),
    queueDepth: (name, value) => depth.set({ name }, value),
    driftCorrected: (kind) => drift.inc({ kind }),
  }
}

function shownMetrics(registry: Registry, view: StatusView): void {
  const gauge = (name: string, help: string, labelNames: string[], fill: (set: SetGauge) => void): void => {
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
  gauge('swarmvirt_vm_status_condition', 'A condition of a VM: 1 True, 0 False, -1 Unknown.', ['vm', 'type'], (set) => {
    for (const vm of view.vms()) for (const one of vm.conditions) set({ vm: vm.name, type: one.type }, conditionValues[one.status])
  })
  gauge('swarmvirt_vm_info', 'Constant 1, labelled with what is known about a VM.', ['vm', 'phase', ...infoLabels], (set) => {
    for (const vm of view.vms()) set({ vm: vm.name, phase: vm.phase, ...infoOf(vm) }, 1)
  })
  gauge('swarmvirt_vm_generation_current', '1 where the declared generation of a VM was fully acted on.', ['vm'], (set) => {
    for (const vm of view.vms()) set({ vm: vm.name }, vm.observedGeneration === vm.generation ? 1 : 0)
  })
  gauge('swarmvirt_node_capable', '1 where a node may run VMs, by its label.', ['node'], (set) => {
    for (const node of view.nodes()) set({ node: node.hostname }, node.labels[nodeLabels.vmCapable] === 'true' ? 1 : 0)
  })
  gauge('swarmvirt_source_complete', '1 where the last read of a manifest source was complete.', ['source'], (set) => {
    for (const { source, complete } of view.sources().sources) set({ source }, complete ? 1 : 0)
  })
  gauge('swarmvirt_source_removal_withheld', '1 while too many VMs are absent at once to be removed.', [], (set) => {
    set({}, view.sources().stalled === null ? 0 : 1)
  })
  gauge('swarmvirt_source_documents', 'Documents of a manifest source, valid and not.', ['source', 'valid'], (set) => {
    for (const { source, documents } of view.sources().sources) {
      set({ source, valid: 'true' }, documents.valid)
      set({ source, valid: 'false' }, documents.invalid)
    }
  })
}

type SetGauge = (labels: Record<string, string>, value: number) => void
const conditionValues = { True: 1, False: 0, Unknown: -1 } as const
const infoLabels = ['uid', 'node', 'accelerator', 'mac', 'ip']

function infoOf(vm: VmView): Record<string, string> {
  return Object.fromEntries(infoLabels.map((label) => [label, vm.facts[label] ?? '']))
}
