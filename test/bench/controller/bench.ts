/**
 * Figures of the controller with a real dockerd. Nodes are paused, so that no container starts, and the controller sees active nodes and running
 * VMs (measured-swarm.ts). Agents are simulated in its process (ready-agents.ts). So only the controller and dockerd work.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bareSwarm } from '../../lab/bare.ts'
import { say } from '../../lab/run.ts'
import type { FigureName, Figures } from '../figures.ts'
import { benchChanges } from './changes.ts'
import { benchCreate } from './create.ts'
import { benchIdle } from './idle.ts'
import { benchMemory } from './memory.ts'
import { prepareSwarm } from './objects.ts'
import { rawApi } from './raw-api.ts'
import { benchStorm } from './storm.ts'
import { type Bench, bundleChild } from './under-test.ts'

const steps: readonly (readonly [gives: readonly FigureName[], step: (bench: Bench) => Promise<Figures>])[] = [
  [['create'], benchCreate],
  [['edit', 'removed'], benchChanges],
  [['idle'], benchIdle],
  [['memory', 'first-pass'], benchMemory],
  [['storm'], benchStorm],
]

export async function benchController(
  wanted: ReadonlySet<FigureName>,
  options: { readonly vms: number; readonly rounds: number; readonly profiles?: string },
): Promise<Figures> {
  const asked = steps.filter(([gives]) => gives.some((name) => wanted.has(name)))
  if (asked.length === 0) return {}
  // A file system in memory, so that disks do not count.
  const dir = mkdtempSync(join(process.platform === 'linux' ? '/dev/shm' : tmpdir(), 'swarmvirt-bench-'))
  const swarm = await bareSwarm(process.env['SWARMVIRT_LAB'] ?? 'bench')
  try {
    const bundle = await bundleChild(dir)
    const api = rawApi(swarm.socket)
    await prepareSwarm(swarm, api)
    const bench: Bench = { profiles: undefined, ...options, swarm, api, bundle, dir, manifests: join(dir, 'manifests') }
    let figures: Figures = {}
    for (const [gives, step] of asked) {
      say(`measuring ${gives.join(', ')} …`)
      figures = { ...figures, ...(await step(bench)) }
    }
    return figures
  } finally {
    await swarm.down()
    rmSync(dir, { recursive: true, force: true })
  }
}
