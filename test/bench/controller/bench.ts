import { existsSync } from 'node:fs'
import type { BareSwarm } from '../../lab/bare.ts'
import { emptyDir, vmName, writeManifests } from './objects.ts'
import type { RawApi } from './raw-api.ts'
import { startChild, type UnderTest } from './under-test.ts'

export interface Bench {
  readonly swarm: BareSwarm
  readonly api: RawApi
  readonly bundle: string
  /** For files of the run. */
  readonly dir: string
  readonly manifests: string
  /** The larger of the two sizes; the smaller is half of it. */
  readonly vms: number
  /** Writes that dockerd rejects. */
  readonly many: number
  readonly rounds: number
  /** Where each controller leaves a CPU profile; undefined where none is wanted, since it costs. */
  readonly profiles: string | undefined
}

/** As in its default configuration; one that no other timer has, so that the bench can tell it. */
export const resyncMs = 10_007

export function startController({ bundle, swarm, manifests, profiles }: Bench): UnderTest {
  return startChild(bundle, { mode: 'run', socket: swarm.socket, manifests, resyncMs }, profiles)
}

/** A controller with so many VMs, of which nothing is left to do. */
export async function controllerWith(bench: Bench, vms: number): Promise<UnderTest> {
  if (!existsSync(bench.manifests)) emptyDir(bench.manifests)
  writeManifests(bench.manifests, vms)
  const child = startController(bench)
  await child.startMs()
  while ((await servicesOf(bench)) < vms) await pause(200)
  await child.ask({ kind: 'settled', vms })
  return child
}

async function servicesOf({ api }: Bench): Promise<number> {
  return (await api.get('/services')).filter((one) => (one['Spec'] as { Name: string }).Name.startsWith(`vm-${vmName(0).slice(0, 2)}`))
    .length
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

export async function timed(work: () => Promise<unknown>): Promise<number> {
  const since = performance.now()
  await work()
  return performance.now() - since
}
