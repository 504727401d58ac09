import { join } from 'node:path'
import { type Bench, pause, startController, timed } from './bench.ts'
import { isWrite } from './measured-swarm.ts'
import { composeFiles, emptyDir, type Made, readAll, removeAll, writeAgain, writeManifests } from './objects.ts'
import type { Pass } from './protocol.ts'
import { callsText, median, printAim, printNote } from './report.ts'

const stack = 'bench'

/** Half of the VMs made at once: by the controller, by the raw API with the same writes, and by `docker stack deploy`. */
export async function benchCreate(bench: Bench): Promise<void> {
  const { api, rounds } = bench
  const vms = bench.vms / 2
  const times = { ours: [] as number[], raw: [] as number[], stack: [] as number[] }
  let calls: Readonly<Record<string, number>> = {}
  // Each round makes and removes three times as many services: a few tell enough.
  const few = Math.min(rounds, 3)
  for (let round = 0; round < few; round += 1) {
    const made = await ours(bench, vms)
    times.ours.push(made.ms)
    calls = made.calls
    const objects = await readAll(api)
    await removeAll(api)
    times.raw.push(await writeAgain(api, objects, calls['updateNodeLabels'] ?? 0))
    await removeAll(api)
    times.stack.push(await timed(() => deployStack(bench, objects)))
    await removeAll(api)
  }
  const [own, raw, deployed] = [median(times.ours), median(times.raw), median(times.stack)]
  const text = `ours ${(own / 1000).toFixed(1)} s, stack deploy ${(deployed / 1000).toFixed(1)} s, raw API ${(raw / 1000).toFixed(1)} s, medians of ${few}`
  printAim({
    name: `${vms} VMs created at once, beside stack deploy`,
    figures: `${(own / deployed).toFixed(2)} × (${text})`,
    aim: '≤ 0.5 ×',
    met: own / deployed <= 0.5,
  })
  printAim({
    name: `${vms} VMs created at once, rate of the same writes beside the raw API`,
    figures: (raw / own).toFixed(2),
    aim: '≥ 0.8',
    met: raw / own >= 0.8,
  })
  const writes = Object.fromEntries(Object.entries(calls).filter(([method]) => isWrite(method)))
  printNote(`writes of ${vms} creations: ${callsText(writes)}`)
  const reads = Object.fromEntries(Object.entries(calls).filter(([method]) => !isWrite(method)))
  printNote(`reads of ${vms} creations: ${callsText(reads)}`)
}

async function ours(bench: Bench, vms: number): Promise<{ ms: number; calls: Readonly<Record<string, number>> }> {
  emptyDir(bench.manifests)
  const child = startController(bench)
  await child.startMs()
  await child.ask({ kind: 'reset' })
  const sinceMs = performance.timeOrigin + performance.now()
  writeManifests(bench.manifests, vms)
  while ((await child.ask<Record<string, number>>({ kind: 'calls' }))['createService'] !== vms) await pause(20)
  const { lastWriteMs, calls } = await child.ask<Pass>({ kind: 'settled', vms })
  const ms = lastWriteMs - sinceMs
  await child.stop()
  return { ms, calls }
}

export async function deployStack({ swarm, dir }: Bench, made: Made): Promise<void> {
  const file = composeFiles(join(dir, 'stack'), made)
  await swarm.docker(['stack', 'deploy', '--resolve-image', 'never', '-c', file, stack])
}
