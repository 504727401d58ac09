import { setTimeout as pause } from 'node:timers/promises'
import { type Figures, median } from '../figures.ts'
import { type Calls, countCalls } from './protocol.ts'
import { type Bench, settledController, startIdle, type UnderTest } from './under-test.ts'

const windowS = 20
const windows = 3
/** The garbage of the first pass is collected by then. */
const restMs = 30_000

/** CPU time and calls of the controller while nothing happens, beside the same program with nothing to do. */
export async function benchIdle(bench: Bench): Promise<Figures> {
  const child = await settledController(bench)
  const idle = startIdle(bench)
  await pause(restMs)
  const [ours, bare, gets]: [number[], number[], number[]] = [[], [], []]
  let writes = 0
  await child.ask({ kind: 'calls' })
  for (let window = 0; window < windows; window += 1) {
    const [before, bareBefore] = [await cpuMs(child), await cpuMs(idle)]
    for (let second = 0; second < windowS; second += 1) {
      await pause(1_000)
      const calls = await child.ask<Calls>({ kind: 'calls' })
      const counted = countCalls(calls)
      writes += counted.writes
      // A resync lists the nodes, and its calls take less than a second.
      if (calls['listNodes'] !== undefined) gets.push(counted.reads)
    }
    ours.push(((await cpuMs(child)) - before) / (10 * windowS))
    bare.push(((await cpuMs(idle)) - bareBefore) / (10 * windowS))
  }
  await idle.stop()
  await child.stop()
  const [share, perResync] = [median(ours), median(gets)]
  return {
    idle: {
      measured: `${share.toFixed(2)} % of a core beside ${median(bare).toFixed(2)} %, ${writes} writes, ${perResync} GETs a resync (${bench.vms} VMs)`,
      isMet: share <= 1 && writes === 0 && perResync <= 3,
    },
  }
}

function cpuMs(child: UnderTest): Promise<number> {
  return child.ask<number>({ kind: 'cpu' })
}
