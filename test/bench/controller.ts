/**
 * The control loop beside `docker stack deploy` and the raw API, interleaved on the same dockerd. Nodes are paused, so that no container starts, and
 * the controller is shown nodes that are active and VMs that run (controller/measured-swarm.ts): what is left is the loop.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { InvalidArgumentError } from 'commander'
import { bareSwarm } from '../lab/bare.ts'
import { say } from '../lab/run.ts'
import { prepareSwarm } from './controller/objects.ts'
import { rawApi } from './controller/raw-api.ts'
import { benchCreate } from './controller/create.ts'
import { benchChanges } from './controller/changes.ts'
import { benchIdle } from './controller/idle.ts'
import { benchMany, benchMemory } from './controller/memory.ts'
import { benchStorm } from './controller/storm.ts'
import { benchUnchanged } from './controller/unchanged.ts'
import { bundleChild } from './controller/under-test.ts'
import type { Bench } from './controller/bench.ts'

const steps = {
  create: benchCreate,
  unchanged: benchUnchanged,
  changes: benchChanges,
  idle: benchIdle,
  storm: benchStorm,
  memory: benchMemory,
  many: benchMany,
}
export const stepNames = Object.keys(steps)

/** Names of steps with commas between them. */
export function stepsOf(text: string): string[] {
  const names = text.split(',')
  const unknown = names.filter((name) => !stepNames.includes(name))
  if (unknown.length > 0) throw new InvalidArgumentError(`No step is called ${unknown.join(', ')}; the steps are ${stepNames.join(', ')}.`)
  return names
}

export interface ControllerOptions {
  readonly managers: '1' | '3'
  readonly vms: number
  readonly many: number
  readonly rounds: number
  readonly profiles?: string
  readonly steps: readonly string[]
}

export async function benchController(options: ControllerOptions): Promise<void> {
  const { managers, vms, many, rounds, profiles } = options
  // A file system in memory: what a disk costs is not the loop's.
  const dir = mkdtempSync(join(process.platform === 'linux' ? '/dev/shm' : tmpdir(), 'swarmvirt-bench-'))
  const swarm = await bareSwarm(process.env['SWARMVIRT_LAB'] ?? 'bench', managers === '3' ? 3 : 1)
  try {
    const bundle = await bundleChild(dir)
    const api = rawApi(swarm.socket)
    await prepareSwarm(swarm, api)
    const bench: Bench = { swarm, api, bundle, dir, manifests: join(dir, 'manifests'), vms, many, rounds, profiles }
    process.stdout.write(`\ncontroller, ${managers} manager${managers === '1' ? '' : 's'}, ${rounds} rounds interleaved\n`)
    for (const [name, step] of Object.entries(steps)) {
      if (!options.steps.includes(name)) continue
      say(`${name} …`)
      await step(bench)
    }
  } finally {
    await swarm.down()
    rmSync(dir, { recursive: true, force: true })
  }
}
