import { join } from 'node:path'
import { type Bench, controllerWith, pause, resyncMs, startController } from './bench.ts'
import { emptyDir, writeManifests } from './objects.ts'
import { type FakeDocker, fakeDocker } from './fake-docker.ts'
import type { Usage } from './protocol.ts'
import { callsText, median, printAim, printNote } from './report.ts'
import { startChild, type UnderTest } from './under-test.ts'

const patienceMs = 600_000
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
}

/** Ten times as many, on a stand-in for dockerd in the bench's own process: no dockerd makes so many services in a reasonable time. */
export async function benchMany(bench: Bench): Promise<void> {
  const { many } = bench
  const manifests = join(bench.dir, 'many')
  emptyDir(manifests)
  writeManifests(manifests, many, 10)
  const docker = await fakeDocker(join(bench.dir, 'docker.sock'))
  const start = (): UnderTest => startChild(bench.bundle, { mode: 'run', socket: docker.socket, manifests, resyncMs }, bench.profiles)
  const maker = start()
  const sinceMs = performance.now()
  while (docker.services() < many && performance.now() - sinceMs < patienceMs) await pause(1_000)
  const madeS = (performance.now() - sinceMs) / 1000
  if (docker.services() < many) printNote(`${docker.services()} of ${many} VMs were made in ${madeS.toFixed(0)} s`)
  else await settled(maker, docker, madeS)
  await maker.stop()
  const floor = await floorMiB(bench)
  const child = start()
  const firstMs = await child.startMs()
  await pause(restMs * 2)
  const lots = await sizeOf(child)
  await child.stop()
  await docker.stop()
  printNote(`start of the process → first complete pass, ${docker.services()} VMs: ${(firstMs / 1000).toFixed(1)} s`)
  printAim({
    name: `memory (PSS) at ${docker.services()} VMs above an idle bundle`,
    figures: `${(lots.pss - floor).toFixed(1)} MiB (${lots.pss.toFixed(1)}, floor ${floor.toFixed(1)}; heap in use ${lots.heap.toFixed(1)})`,
    aim: '≤ 90 MiB',
    met: docker.services() >= many && lots.pss - floor <= 90,
  })
}

async function settled(maker: UnderTest, docker: FakeDocker, madeS: number): Promise<void> {
  await maker.ask({ kind: 'settled', vms: docker.services() })
  const calls = await maker.ask<Record<string, number>>({ kind: 'calls' })
  printNote(`${docker.services()} VMs made at once on a stand-in for dockerd: ${madeS.toFixed(0)} s, ${callsText(calls)}`)
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

async function sizeOf(child: UnderTest): Promise<{ pss: number; heap: number }> {
  const pss = child.pssMiB()
  const { heapMiB } = await child.ask<Usage>({ kind: 'usage' })
  return { pss, heap: heapMiB }
}
