import { join } from 'node:path'
import { type Bench, controllerWith, pause, resyncMs, startController } from './bench.ts'
import { emptyDir, writeManifests } from './objects.ts'
import type { Usage } from './protocol.ts'
import { median, printAim, printNote } from './report.ts'
import { startChild, type UnderTest } from './under-test.ts'

const many = 10_000
const patienceMs = 60_000
/** Long enough for what a first pass leaves behind to be collected. */
const restMs = 20_000

/** Memory above what the same bundle has that imports everything and does nothing; and how long the first pass takes. */
export async function benchMemory(bench: Bench): Promise<void> {
  await firstPass(bench)
  const floor = await floorMiB(bench)
  const child = await controllerWith(bench, bench.vms)
  await pause(restMs)
  const some = await sizeOf(child)
  await child.stop()
  printAim({
    name: `memory (PSS) at ${bench.vms} VMs above an idle bundle`,
    figures: `${(some.pss - floor).toFixed(1)} MiB (${some.pss.toFixed(1)}, floor ${floor.toFixed(1)}; heap in use ${some.heap.toFixed(1)})`,
    aim: '≤ 40 MiB',
    met: some.pss - floor <= 40,
  })
  const lots = await manyInMemory(bench)
  const size =
    lots === undefined
      ? `not measured: no first pass in ${patienceMs / 1000} s`
      : `${(lots.pss - floor).toFixed(1)} MiB (${lots.pss.toFixed(1)}; heap in use ${lots.heap.toFixed(1)})`
  printAim({
    name: `memory (PSS) at ${many} VMs above an idle bundle, with a simulated Swarm in the same process`,
    figures: size,
    aim: '≤ 90 MiB',
    met: lots !== undefined && lots.pss - floor <= 90,
  })
}

async function firstPass(bench: Bench): Promise<void> {
  await (await controllerWith(bench, bench.vms)).stop()
  const times: number[] = []
  const bare: number[] = []
  for (let round = 0; round < bench.rounds; round += 1) {
    const child = startController(bench)
    times.push(await child.startMs())
    await child.stop()
    const idle = startChild(bench.bundle, { mode: 'floor', socket: null, manifests: bench.manifests, resyncMs })
    bare.push(await idle.startMs())
    await idle.stop()
  }
  printAim({
    name: `start of the process → first complete pass, ${bench.vms} VMs`,
    figures: `${(median(times) / 1000).toFixed(2)} s, of which ${(median(bare) / 1000).toFixed(2)} s until everything is imported (medians of ${bench.rounds})`,
    aim: '≤ 0.6 s',
    met: median(times) <= 600,
  })
}

async function floorMiB(bench: Bench): Promise<number> {
  const child = startChild(bench.bundle, { mode: 'floor', socket: null, manifests: bench.manifests, resyncMs })
  await child.startMs()
  await pause(3_000)
  const { pss, heap } = await sizeOf(child)
  await child.stop()
  printNote(`the idle bundle: ${pss.toFixed(1)} MiB, heap in use ${heap.toFixed(1)}`)
  return pss
}

async function manyInMemory(bench: Bench): Promise<{ pss: number; heap: number } | undefined> {
  const manifests = join(bench.dir, 'many')
  emptyDir(manifests)
  writeManifests(manifests, many, 10)
  const child = startChild(bench.bundle, { mode: 'run', socket: null, manifests, resyncMs })
  const isReady = await Promise.race([child.startMs().then(() => true), pause(patienceMs).then(() => false)])
  await pause(isReady ? restMs : 0)
  const size = isReady ? await sizeOf(child) : undefined
  await child.stop()
  return size
}

async function sizeOf(child: UnderTest): Promise<{ pss: number; heap: number }> {
  const pss = child.pssMiB()
  const { heapMiB } = await child.ask<Usage>({ kind: 'usage' })
  return { pss, heap: heapMiB }
}
