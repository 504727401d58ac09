import { isOffReason } from '../../reconcilers/shared/run-wish.ts'
import { afterRestart } from '../../api/manifest/live-fields.ts'
import { withoutSecrets } from '../../api/manifest/hidden.ts'
import type { VmName } from '../../api/names.ts'
import { byText } from '../../api/order.ts'
import type { VmPlan } from '../../api/wire/plan.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Inspection } from '../../ports/inspection.ts'
import type { StatusView } from '../../ports/status-view.ts'
import { disksView } from './list-disks.ts'
import { dryRunAssets, type AssetsDryRun } from '../../reconcilers/assets/dry-run.ts'
import type { AssetsPorts } from '../../reconcilers/assets/index.ts'
import { dryRunServices, type ServicesDryRun } from '../../reconcilers/services/dry-run.ts'
import type { ServicesPorts } from '../../reconcilers/services/index.ts'

export interface InspectionPorts extends Pick<AssetsPorts, 'agents' | 'random' | 'recent' | 'placements' | 'lease'> {
  readonly swarm: AssetsPorts['swarm'] & ServicesPorts['swarm']
  readonly settings: AssetsPorts['settings'] & ServicesPorts['settings']
  readonly declarations: AssetsPorts['declarations'] & { knows(vm: string): vm is VmName }
  readonly clock: Clock
  readonly view: Pick<StatusView, 'vm'>
}

/** Longest time that a request waits. */
const timeoutMs = 8_000

export function inspection(ports: InspectionPorts): Inspection {
  const { declarations, clock, view } = ports

  async function inTime<Value>(what: string, read: (signal: AbortSignal) => Promise<Value>): Promise<Value> {
    const late = new AbortController()
    const cancel = clock.after(timeoutMs, () => late.abort(new Error(`${what} took too long`)))
    try {
      return await read(late.signal)
    } finally {
      cancel()
    }
  }

  return {
    async plan(name) {
      if (!declarations.knows(name)) return undefined
      return inTime('the plan', async (signal) => {
        const nowMs = clock.now()
        const [assets, services] = await Promise.all([dryRunAssets(ports, name, nowMs, signal), dryRunServices(ports, name, nowMs, signal)])
        return planOf(name, assets, services, view)
      })
    },
    disks: () => inTime('asking the nodes', (signal) => disksView({ ...ports, cluster: ports.settings.cluster }, signal)),
    manifest(name) {
      const declaration = declarations.knows(name) ? declarations.get(name) : undefined
      if (declaration?.kind !== 'present') return undefined
      const { vm, generation, source } = declaration
      return { name, generation, source, manifest: withoutSecrets(vm) }
    },
  }
}

function planOf(name: string, assets: AssetsDryRun, services: ServicesDryRun, view: Pick<StatusView, 'vm'>): VmPlan {
  return {
    name,
    suspended: assets.suspended ?? null,
    steps: [...assets.steps, ...services.steps],
    edits: [...services.edits, ...(services.liveEdits ? assets.edits : afterRestart(assets.edits))].toSorted((a, b) =>
      byText(a.path, b.path),
    ),
    ...(services.liveEdits ? { liveEdits: true } : {}),
    editsTakeHold: services.writesEdits ? 'now' : 'restart',
    waitsFor: services.next.kind === 'stalled' ? services.next.message : waiting(view, name),
    unknown: assets.unknown,
  }
}

/** Taken from the status: a real reconcile may ask nodes for more than a dry run may. */
function waiting(view: Pick<StatusView, 'vm'>, name: string): string {
  const conditions = view.vm(name)?.conditions ?? []
  const of = (type: string) => conditions.find((one) => one.type === type)
  if (of('Suspended') !== undefined) return ''
  const stalled = of('Stalled')
  if (stalled !== undefined) return stalled.message
  const ready = of('Ready')
  return ready === undefined || ready.status === 'True' || isOffReason(ready.reason) ? '' : ready.message
}
