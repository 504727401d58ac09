import { setTimeout as pause } from 'node:timers/promises'
import { type Figures, median } from '../figures.ts'
import { type Bench, settledController, startController, startIdle } from './under-test.ts'

/** The garbage of the first pass is collected by then. */
const restMs = 20_000
const idleRestMs = 3_000

/** Memory above that of the same program with nothing to do, and the time of the first pass beside the time that imports take. */
export async function benchMemory(bench: Bench): Promise<Figures> {
  const idle = startIdle(bench)
  await idle.startMs()
  await pause(idleRestMs)
  const floor = idle.pssMiB()
  await idle.stop()
  const child = await settledController(bench)
  await pause(restMs)
  const above = child.pssMiB() - floor
  await child.stop()
  return {
    memory: {
      measured: `${above.toFixed(1)} MiB above a floor of ${floor.toFixed(1)} MiB (${bench.vms} VMs)`,
      isMet: above <= 60 && floor <= 40,
    },
    'first-pass': await firstPass(bench),
  }
}

async function firstPass(bench: Bench): Promise<NonNullable<Figures['first-pass']>> {
  const [ours, bare]: [number[], number[]] = [[], []]
  for (let round = 0; round < bench.rounds; round += 1) {
    for (const [start, times] of [
      [startController, ours],
      [startIdle, bare],
    ] as const) {
      const child = start(bench)
      times.push(await child.startMs())
      await child.stop()
    }
  }
  const [own, imports] = [median(ours) / 1000, median(bare) / 1000]
  return {
    measured: `${own.toFixed(2)} s, of which imports take ${imports.toFixed(2)} s (median of ${bench.rounds}, ${bench.vms} VMs)`,
    isMet: own <= 1.2,
  }
}
