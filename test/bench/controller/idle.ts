import { type Bench, controllerWith, pause } from './bench.ts'
import { isWrite } from './measured-swarm.ts'
import type { Usage } from './protocol.ts'
import { callsText, median, printAim, printNote } from './report.ts'

const windowMs = 20_000
const windows = 3
/** By then the garbage of the first pass is collected. */
const restMs = 30_000

/** The cost of the idle loop, and how far Raft's index advances in the same time with and without it. */
export async function benchIdle(bench: Bench): Promise<void> {
  const child = await controllerWith(bench, bench.vms)
  const shares: number[] = []
  const withUs: number[] = []
  const without: number[] = []
  let calls: Readonly<Record<string, number>> = {}
  let runs = 0
  await pause(restMs)
  for (let window = 0; window < windows; window += 1) {
    const before = await child.ask<Usage>({ kind: 'usage' })
    await child.ask({ kind: 'reset' })
    withUs.push(await raftSteps(bench, () => pause(windowMs)))
    calls = await child.ask<Record<string, number>>({ kind: 'calls' })
    const after = await child.ask<Usage>({ kind: 'usage' })
    runs = after.runs - before.runs
    shares.push(((after.cpuMs - before.cpuMs) / windowMs) * 100)
  }
  await child.stop()
  for (let window = 0; window < windows; window += 1) without.push(await raftSteps(bench, () => pause(windowMs)))
  const writes = Object.entries(calls).reduce((sum, [method, count]) => sum + (isWrite(method) ? count : 0), 0)
  printAim({
    name: `idle, ${bench.vms} VMs`,
    figures: `${median(shares).toFixed(2)} % of a core, ${writes} writes, Raft index +${median(withUs)} beside +${median(without)} without it, in ${windowMs / 1000} s`,
    aim: '≤ 0.3 %, 0 writes, no more than idle',
    met: median(shares) <= 0.3 && writes === 0 && median(withUs) <= median(without),
  })
  printNote(`in ${windowMs / 1000} s: ${runs} runs of reconcilers, calls ${callsText(calls)}`)
}

/** A config's version is Raft's index at the moment it is made. */
async function raftSteps({ api }: Bench, wait: () => Promise<void>): Promise<number> {
  const indexNow = async (name: string): Promise<number> => {
    const { ID } = await api.post('/configs/create', { Name: name, Data: 'eA==' })
    const { Version } = (await api.find(`/configs/${String(ID)}`)) as { Version: { Index: number } }
    await api.remove(`/configs/${String(ID)}`)
    return Version.Index
  }
  const before = await indexNow('bench-before')
  await wait()
  return (await indexNow('bench-after')) - before
}
