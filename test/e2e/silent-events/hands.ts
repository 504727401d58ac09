/** Changes by hand and in manifests, and the time until the declared state is reached. */
import type { VmView } from '../../../src/api/wire/controller-api.ts'
import type { Deployment } from '../../lab/deployment.ts'
import { until } from '../../lab/run.ts'
import { type Traces, tracesOf } from '../kill-controller/traces.ts'
import { manifest, taskMemoryMiB, waitForCondition } from '../support.ts'

/** Halted, so that nothing but the controller takes time; each is changed in its own way. */
export const halted = ['hush-removed', 'hush-limit', 'hush-constraint', 'hush-edited', 'hush-gone'] as const
export const running = 'hush-running'
export const late = 'hush-new'

/** Milliseconds from the hand to its repair, or to what was declared. */
export type Repairs = Readonly<Record<string, number>>

function halt(vm: string, memory: string): string {
  return manifest(vm, { runStrategy: 'Halted', memory })
}

export function declare(deployment: Deployment, vm: string, memory: string): void {
  deployment.writeManifest(`${vm}.yaml`, halt(vm, memory))
}

export function isHalted(deployment: Deployment, vm: string): Promise<VmView> {
  return waitForCondition(deployment, vm, 'Ready', (one) => one.reason === 'Halted')
}

export async function isAbsent({ lab }: Deployment, vm: string): Promise<boolean> {
  const { services, configs, secrets } = await tracesOf(lab, vm)
  return services.length + configs.length + secrets.length === 0
}

/** How long until it is so; the limit only stops a hang. */
export async function timed(what: string, isSo: () => Promise<boolean>): Promise<number> {
  const began = performance.now()
  await until(what, 120_000, async () => ((await isSo()) ? true : undefined), 50)
  return Math.round(performance.now() - began)
}

export async function hands(deployment: Deployment): Promise<Repairs> {
  const { lab } = deployment
  const { held, services } = await tracesOf(lab, 'hush-constraint')
  const [toNode = ''] = services[0]?.Spec.TaskTemplate?.Placement?.Constraints ?? []
  await Promise.all([
    lab.mustDocker('n1', ['service', 'rm', 'vm-hush-removed']),
    lab.mustDocker('n1', ['service', 'update', '--detach', '--quiet', '--limit-memory', '300M', 'vm-hush-limit']),
    lab.mustDocker('n1', ['service', 'update', '--detach', '--quiet', '--constraint-rm', toNode, 'vm-hush-constraint']),
  ])
  declare(deployment, 'hush-edited', '96Mi')
  declare(deployment, late, '64Mi')
  deployment.removeManifest('hush-gone.yaml')
  const waits: Readonly<Record<string, () => Promise<boolean>>> = {
    removed: async () => (await tracesOf(lab, 'hush-removed')).services.length === 1,
    limit: async () => memoryMiB(await tracesOf(lab, 'hush-limit')) === taskMemoryMiB(halt('hush-limit', '64Mi')),
    constraint: async () => (await tracesOf(lab, 'hush-constraint')).held.join() === held.join(),
    edited: async () => memoryMiB(await tracesOf(lab, 'hush-edited')) === taskMemoryMiB(halt('hush-edited', '96Mi')),
    new: async () => (await tracesOf(lab, late)).services.length === 1,
    gone: async () => isAbsent(deployment, 'hush-gone'),
  }
  const took = await Promise.all(Object.entries(waits).map(async ([what, isSo]) => [what, await timed(what, isSo)] as const))
  return Object.fromEntries(took)
}

/** The limit in its service; undefined where there is none. */
function memoryMiB({ services }: Traces): number | undefined {
  const spec = services[0]?.Spec as { TaskTemplate?: { Resources?: { Limits?: { MemoryBytes?: number } } } } | undefined
  const bytes = spec?.TaskTemplate?.Resources?.Limits?.MemoryBytes
  return bytes === undefined ? undefined : bytes / 1024 / 1024
}
