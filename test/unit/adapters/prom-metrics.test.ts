import { describe, expect, it } from 'vitest'
import { promMetrics } from '../../../src/adapters/prom-metrics.ts'
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
  return { source, revision, complete: true, message: '', documents: { valid: 1, invalid: 0 }, issues: [], superseded: [] }
}

describe('the metrics', () => {
  it('tell the revision of a source that has one', async () => {
    const metrics = promMetrics('0')
    metrics.show(viewOf([], [aSource('directory', 'abc123'), aSource('configs', '')]))
    const found = (await metrics.expose()).text.split('\n').filter((line) => line.startsWith('swarmvirt_source_info{'))
    expect(found).toContain('swarmvirt_source_info{source="directory",revision="abc123"} 1')
  })

  const web = aVm('web', { generation: 'ffffffffffff0000', observedGeneration: '00000000000f0000' })

  it('have at most twenty series for a VM with every condition there is, and none for one that is gone', async () => {
    const own = (await lines([web])).filter((line) => line.includes('vm="web"'))
    expect(own.length).toBeGreaterThan(15)
    expect(own.length).toBeLessThanOrEqual(20)
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

  it('begin at 0 for what has not happened yet', async () => {
    const all = await lines([])
    expect(all).toContain('controller_runtime_reconcile_errors_total{controller="services"} 0')
    expect(all).toContain('controller_runtime_terminal_reconcile_errors_total{controller="assets"} 0')
    expect(all).toContain('swarmvirt_drift_corrections_total{kind="template"} 0')
  })
})
