import { type Bench, controllerWith, pause, timed } from './bench.ts'
import { deployStack } from './create.ts'
import { isWrite } from './measured-swarm.ts'
import { readAll } from './objects.ts'
import type { Pass } from './protocol.ts'
import { each } from './raw-api.ts'
import { callsText, median, printAim, printNote } from './report.ts'

const pauseMs = 700

/** Nothing differs: what a pass over everything costs beside `stack deploy` of the same services, and a resync beside the bare lists. */
export async function benchUnchanged(bench: Bench): Promise<void> {
  await besideStack(bench)
  await besideRaw(bench)
}

async function besideStack(bench: Bench): Promise<void> {
  const { api, rounds } = bench
  const vms = bench.vms / 2
  const child = await controllerWith(bench, vms)
  const made = await readAll(api)
  await deployStack(bench, made)
  const passes: Pass[] = []
  const deployed: number[] = []
  for (let round = 0; round < rounds; round += 1) {
    passes.push(await child.ask<Pass>({ kind: 'gap' }))
    deployed.push(await timed(() => deployStack(bench, made)))
  }
  await child.stop()
  await removeStack(bench)
  const own = median(passes.map(({ ms }) => ms))
  const ratio = own / median(deployed)
  const writes = passes.reduce((sum, { calls }) => sum + countOf(calls, true), 0)
  printAim({
    name: `nothing changed, ${vms} VMs, everything read and reconciled again`,
    figures: `${ratio.toFixed(3)} × stack deploy (${own.toFixed(0)} ms, ${median(deployed).toFixed(0)} ms), ${writes} writes`,
    aim: '≤ 0.06 ×, 0 writes',
    met: ratio <= 0.06 && writes === 0,
  })
}

async function besideRaw(bench: Bench): Promise<void> {
  const { vms, rounds } = bench
  const child = await controllerWith(bench, vms)
  const looks: Pass[] = []
  const gaps: Pass[] = []
  const raw: number[] = []
  for (let round = 0; round < rounds * 2; round += 1) {
    // The pause after every resync, in informer/resync.ts. An earlier request waits for its end.
    await pause(pauseMs)
    looks.push(await child.ask<Pass>({ kind: 'look' }))
    raw.push(await child.ask<number>({ kind: 'raw' }))
  }
  for (let round = 0; round < rounds; round += 1) gaps.push(await child.ask<Pass>({ kind: 'gap' }))
  await child.stop()
  const gets = looks.map(({ calls }) => countOf(calls, false))
  const ratio = median(looks.map(({ ms }) => ms)) / median(raw)
  const least = looks.find((_one, index) => gets[index] === median(gets))
  printAim({
    name: `nothing changed, ${vms} VMs, one resync`,
    figures: `${median(gets)} GETs (${callsText(least?.calls ?? {})}), ${ratio.toFixed(2)} × list + parse + hash (${median(looks.map(({ ms }) => ms)).toFixed(0)} ms, ${median(raw).toFixed(0)} ms)`,
    aim: '≤ 3 GETs, ≤ 1.7 ×',
    met: median(gets) <= 3 && ratio <= 1.7,
  })
  printNote(
    `everything read and reconciled again, ${vms} VMs: ${median(gaps.map(({ ms }) => ms)).toFixed(0)} ms, ${callsText(gaps[0]?.calls ?? {})}`,
  )
}

function countOf(calls: Readonly<Record<string, number>>, writes: boolean): number {
  return Object.entries(calls).reduce((sum, [method, count]) => sum + (isWrite(method) === writes ? count : 0), 0)
}

async function removeStack({ api }: Bench): Promise<void> {
  for (const kind of ['services', 'configs']) {
    const ours = (await api.get(`/${kind}`)).filter((one) => (one['Spec'] as { Name: string }).Name.startsWith('bench_'))
    await each(ours, (one) => api.remove(`/${kind}/${String(one['ID'])}`))
  }
}
