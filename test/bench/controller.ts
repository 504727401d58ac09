/**
 * The control loop beside `docker stack deploy` and the raw API, interleaved on the same dockerd. Nodes are paused, so that no container starts, and
 * the controller is shown nodes that are active and VMs that run (controller/measured-swarm.ts): what is left is the loop.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
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

export async function benchController(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      managers: { type: 'string', default: '1' },
      vms: { type: 'string', default: '1000' },
      many: { type: 'string', default: '10000' },
      rounds: { type: 'string', default: '7' },
      profiles: { type: 'string' },
      steps: { type: 'string', default: 'create,unchanged,changes,idle,memory,many,storm' },
    },
  })
  const steps = values.steps.split(',')
  // A file system in memory: what a disk costs is not the loop's.
  const dir = mkdtempSync(join(process.platform === 'linux' ? '/dev/shm' : tmpdir(), 'swarmvirt-bench-'))
  const swarm = await bareSwarm(process.env['SWARMVIRT_LAB'] ?? 'bench', values.managers === '3' ? 3 : 1)
  try {
    const bundle = await bundleChild(dir)
    const api = rawApi(swarm.socket)
    await prepareSwarm(swarm, api)
    const bench: Bench = {
      swarm,
      api,
      bundle,
      dir,
      manifests: join(dir, 'manifests'),
      vms: Number(values.vms),
      many: Number(values.many),
      rounds: Number(values.rounds),
      profiles: values.profiles,
    }
    process.stdout.write(
      `\ncontroller, ${values.managers} manager${values.managers === '1' ? '' : 's'}, ${bench.rounds} rounds interleaved\n`,
    )
    const all = {
      create: benchCreate,
      unchanged: benchUnchanged,
      changes: benchChanges,
      idle: benchIdle,
      storm: benchStorm,
      memory: benchMemory,
      many: benchMany,
    }
    for (const [name, step] of Object.entries(all)) {
      if (!steps.includes(name)) continue
      say(`${name} …`)
      await step(bench)
    }
  } finally {
    await swarm.down()
    rmSync(dir, { recursive: true, force: true })
  }
}
