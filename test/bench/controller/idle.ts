import { setTimeout as pause } from 'node:timers/promises'
import { type Figures, median } from '../figures.ts'
import { type Calls, countCalls } from './protocol.ts'
import { type Bench, resyncMs, settledController, startIdle, type UnderTest } from './under-test.ts'

const windowMs = 2 * resyncMs
const windows = 3
/** The garbage of the first pass is collected by then. */
const restMs = 30_000

/** What the controller does while nothing happens, beside the same program with nothing to do. */
export async function benchIdle(bench: Bench): Promise<Figures> {
  const child = await settledController(bench)
  const idle = startIdle(bench)
  await pause(restMs)
  const [ours, bare]: [number[], number[]] = [[], []]
  await child.ask({ kind: 'calls' })
  for (let window = 0; window < windows; window += 1) {
    const [before, bareBefore] = [await cpuMs(child), await cpuMs(idle)]
    await pause(windowMs)
    ours.push((((await cpuMs(child)) - before) / windowMs) * 100)
    bare.push((((await cpuMs(idle)) - bareBefore) / windowMs) * 100)
  }
  const calls = await child.ask<Calls>({ kind: 'calls' })
  await idle.stop()
  await child.stop()
  const { reads, writes } = countCalls(calls)
  const perResync = reads / (calls['listNodes'] ?? 0)
  const share = median(ours)
  return {
    idle: {
      measured: `${share.toFixed(2)} % of a core beside ${median(bare).toFixed(2)} %, ${writes} writes, ${perResync.toFixed(1)} GETs a resync (${bench.vms} VMs)`,
      isMet: share <= 1 && writes === 0 && perResync <= 3,
    },
  }
}

function cpuMs(child: UnderTest): Promise<number> {
  return child.ask<number>({ kind: 'cpu' })
}
