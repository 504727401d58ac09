import { join } from 'node:path'
import { type Figures, median } from '../figures.ts'
import { composeFile, emptyDir, readAll, removeAll, writeManifests } from './objects.ts'
import { type Bench, startController } from './under-test.ts'

/** Each round creates and removes twice as many services, which takes long. */
const mostRounds = 3

/** Half of the VMs created at once, beside `docker stack deploy` of the same services on the same dockerd. Both times end when the last service exists. */
export async function benchCreate(bench: Bench): Promise<Figures> {
  const { api, swarm, dir } = bench
  const vms = Math.floor(bench.vms / 2)
  const [ours, stack]: [number[], number[]] = [[], []]
  for (let round = 0; round < Math.min(bench.rounds, mostRounds); round += 1) {
    ours.push(await created(bench, vms))
    const file = composeFile(join(dir, 'stack'), await readAll(api))
    await removeAll(api)
    const sinceMs = performance.now()
    await swarm.docker(['stack', 'deploy', '--resolve-image', 'never', '-c', file, 'bench'])
    stack.push(performance.now() - sinceMs)
    await removeAll(api)
  }
  const [own, deployed] = [median(ours), median(stack)]
  return {
    create: {
      measured: `${(own / deployed).toFixed(2)} × (${(own / 1000).toFixed(1)} s and ${(deployed / 1000).toFixed(1)} s, ${vms} VMs)`,
      isMet: own / deployed <= 1.2,
    },
  }
}

async function created(bench: Bench, vms: number): Promise<number> {
  emptyDir(bench.manifests)
  const child = startController(bench)
  await child.startMs()
  let count = 0
  let stop = (): void => undefined
  const lastMs = new Promise<number>((resolve, reject) => {
    const onEvent = ({ action, atMs }: { action: string; atMs: number }): void => {
      if (action === 'create' && (count += 1) === vms) resolve(atMs)
    }
    bench.api.events(onEvent).then((end) => (stop = end), reject)
  })
  const sinceMs = performance.now()
  writeManifests(bench.manifests, vms)
  const tookMs = (await lastMs) - sinceMs
  stop()
  await child.ask({ kind: 'settled', vms })
  await child.stop()
  return tookMs
}
