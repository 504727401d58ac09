import { describe, expect, it } from 'vitest'
import { promMetrics } from '../../../src/adapters/process/prom-metrics.ts'
import { conditionOwners, type ConditionType } from '../../../src/api/conditions.ts'
import type { SourceView, VmView } from '../../../src/api/wire/controller-api.ts'
import type { StatusView } from '../../../src/ports/status-view.ts'

/** The most that a VM can have. */
function aVm(name: string, generations: { readonly generation: string; readonly observedGeneration: string }): VmView {
  const conditions = (Object.keys(conditionOwners) as ConditionType[]).map((type) => ({
    type,
    status: type === 'Stalled' ? ('Unknown' as const) : ('True' as const),
    reason: 'Because',
    message: '',
    observedGeneration: '',
    lastTransitionTime: '',
  }))
  const facts = { uid: 'u', node: 'n1', mac: 'm', ip: 'i', accelerator: 'tcg' }
  return { name, phase: 'Ready', declared: 'present', labels: {}, conditions, facts, timeline: {}, events: [], ...generations }
}

function viewOf(vms: readonly VmView[], sources: readonly SourceView[] = []): StatusView {
  return {
    vms: () => vms,
    vm: () => undefined,
    nodes: () => [],
    sources: () => ({ sources, stalled: null, withheld: [] }),
    ready: () => ({ ok: true, message: '' }),
    onChange: () => () => undefined,
  }
}

async function lines(vms: readonly VmView[], act: (metrics: ReturnType<typeof promMetrics>) => void = () => undefined): Promise<string[]> {
  const metrics = promMetrics('0')
  metrics.show(viewOf(vms))
  act(metrics)
  return (await metrics.expose()).text.split('\n').filter((line) => !line.startsWith('#'))
}

function aSource(source: string, revision: string): SourceView {
  return {
    source,
    revision,
    complete: true,
    message: '',
    documents: { valid: 1, invalid: 0, ignored: 2 },
    issues: [],
    ignored: [],
    superseded: [],
  }
}

describe('the metrics', () => {
  it('tell the revision of a source that has one', async () => {
    const metrics = promMetrics('0')
    metrics.show(viewOf([], [aSource('directory', 'abc123'), aSource('configs', '')]))
    const found = (await metrics.expose()).text.split('\n').filter((line) => line.startsWith('swarmvirt_source_info{'))
    expect(found).toContain('swarmvirt_source_info{source="directory",revision="abc123"} 1')
  })

  const web = aVm('web', { generation: 'ffffffffffff0000', observedGeneration: '00000000000f0000' })

  it('have at most 22 series for a VM with every condition there is, and none for one that is gone', async () => {
    const own = (await lines([web])).filter((line) => line.includes('vm="web"'))
    expect(own.length).toBeGreaterThan(15)
    expect(own.length).toBeLessThanOrEqual(22)
    expect((await lines([])).filter((line) => line.includes('vm="web"'))).toEqual([])
  })

  it('say true, false and unknown as 1, 0 and -1', async () => {
    const all = await lines([web])
    expect(all).toContain('swarmvirt_vm_status_condition{vm="web",type="Ready"} 1')
    expect(all).toContain('swarmvirt_vm_status_condition{vm="web",type="Stalled"} -1')
  })

  it('give generations as whole numbers that are equal where the generations are', async () => {
    const all = await lines([web, aVm('db', { generation: 'abc0000000000000', observedGeneration: 'abc0000000000000' })])
    const value = (name: string, vm: string): number => Number(all.find((line) => line.startsWith(`${name}{vm="${vm}"}`))?.split(' ')[1])
    expect(value('swarmvirt_vm_generation', 'web')).toBe(2 ** 48 - 1)
    expect(value('swarmvirt_vm_observed_generation', 'web')).toBe(15)
    expect(value('swarmvirt_vm_generation', 'db')).toBe(value('swarmvirt_vm_observed_generation', 'db'))
  })

  it('show what a queue holds at the moment of the scrape', async () => {
    const all = await lines([], (metrics) => {
      metrics.watchQueue('services', 8, () => ({ depth: 3, workingSeconds: [2, 5] }))
      metrics.queueWaited('services', 0.02)
    })
    expect(all).toEqual(
      expect.arrayContaining([
        'workqueue_depth{name="services",controller="services"} 3',
        'workqueue_unfinished_work_seconds{name="services",controller="services"} 7',
        'workqueue_longest_running_processor_seconds{name="services",controller="services"} 5',
        'controller_runtime_active_workers{controller="services"} 2',
        'controller_runtime_max_concurrent_reconciles{controller="services"} 8',
        'workqueue_queue_duration_seconds_count{name="services",controller="services"} 1',
      ]),
    )
  })

  // As sigs.k8s.io/controller-runtime has them: pkg/internal/controller/metrics and pkg/internal/metrics/workqueue.go.
  it.each([
    ['controller_runtime_reconcile_total', 'counter', ['controller', 'result']],
    ['controller_runtime_reconcile_errors_total', 'counter', ['controller']],
    ['controller_runtime_terminal_reconcile_errors_total', 'counter', ['controller']],
    ['controller_runtime_reconcile_panics_total', 'counter', ['controller']],
    ['controller_runtime_reconcile_time_seconds', 'histogram', ['controller']],
    ['controller_runtime_max_concurrent_reconciles', 'gauge', ['controller']],
    ['controller_runtime_active_workers', 'gauge', ['controller']],
    ['workqueue_depth', 'gauge', ['name', 'controller']],
    ['workqueue_adds_total', 'counter', ['name', 'controller']],
    ['workqueue_queue_duration_seconds', 'histogram', ['name', 'controller']],
    ['workqueue_work_duration_seconds', 'histogram', ['name', 'controller']],
    ['workqueue_unfinished_work_seconds', 'gauge', ['name', 'controller']],
    ['workqueue_longest_running_processor_seconds', 'gauge', ['name', 'controller']],
    ['workqueue_retries_total', 'counter', ['name', 'controller']],
  ])('have %s as operators’ dashboards know it', async (name, type, labels) => {
    const metrics = promMetrics('0')
    metrics.watchQueue('services', 8, () => ({ depth: 0, workingSeconds: [] }))
    metrics.reconciled('services', 'error', 0.1)
    metrics.queueWaited('services', 0.1)
    metrics.queueWorked('services', 0.1)
    const all = (await metrics.expose()).text.split('\n')
    expect(all).toContain(`# TYPE ${name} ${type}`)
    const series = all.find((line) => line.startsWith(`${name}${type === 'histogram' ? '_count' : ''}{`)) ?? ''
    expect(new Set([...series.matchAll(/([a-z_]+)=/g)].map(([, label]) => label))).toEqual(new Set(labels))
  })

  it('have the buckets that quantiles over several operators need', async () => {
    const all = await lines([], (metrics) => {
      metrics.reconciled('nodes', 'success', 0.1)
      metrics.queueWaited('nodes', 0.1)
      metrics.queueWorked('nodes', 0.1)
    })
    const bounds = (name: string): number[] =>
      all.flatMap((line) =>
        line.startsWith(`${name}_bucket{`) ? [Number(/le="([^"]+)"/.exec(line)?.[1]?.replace('+Inf', 'Infinity'))] : [],
      )
    const run = [0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.25, 1.5, 1.75, 2]
    const longer = [2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9, 10, 15, 20, 25, 30, 40, 50, 60, Infinity]
    expect(bounds('controller_runtime_reconcile_time_seconds')).toEqual([...run, ...longer])
    const powers = [...Array.from({ length: 12 }, (_one, index) => Number(`1e${index - 8}`)), Infinity]
    expect(bounds('workqueue_queue_duration_seconds')).toEqual(powers)
    expect(bounds('workqueue_work_duration_seconds')).toEqual(powers)
  })

  it('count a refusal for good as an error too', async () => {
    const all = await lines([], (metrics) => {
      metrics.reconciled('services', 'error', 0.1)
      metrics.refused('services')
    })
    expect(all).toContain('controller_runtime_reconcile_total{controller="services",result="error"} 1')
    expect(all).toContain('controller_runtime_reconcile_errors_total{controller="services"} 1')
    expect(all).toContain('controller_runtime_terminal_reconcile_errors_total{controller="services"} 1')
  })

  it('begin at 0 for what has not happened yet', async () => {
    const all = await lines([])
    expect(all).toContain('controller_runtime_reconcile_errors_total{controller="services"} 0')
    expect(all).toContain('controller_runtime_terminal_reconcile_errors_total{controller="assets"} 0')
    expect(all).toContain('swarmvirt_drift_corrections_total{kind="template"} 0')
  })
})
