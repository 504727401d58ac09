import { type Bench, controllerWith, pause } from './bench.ts'
import { editManifest } from './objects.ts'
import { printAim, printNote } from './report.ts'

const perSecond = 3_000
const seconds = 10
/** How often a VM's manifest is written in a row before the next one's: the last of them counts. */
const inARow = 30

/** Manifests are written faster than anybody can follow: each VM's many times in a row, and then never again. */
export async function benchStorm(bench: Bench): Promise<void> {
  const child = await controllerWith(bench, bench.vms)
  await child.ask({ kind: 'reset' })
  await child.ask({ kind: 'delay' })
  const since = performance.now()
  let written = 0
  const touched = new Set<number>()
  while (written < perSecond * seconds) {
    const due = Math.min(perSecond * seconds, ((performance.now() - since) / 1000) * perSecond)
    for (; written < due; written += 1) {
      const vm = Math.floor(written / inARow) % bench.vms
      touched.add(vm)
      editManifest(bench.manifests, vm, 3 + (written % inARow))
    }
    await pause(1)
  }
  const took = (performance.now() - since) / 1000
  const p99Ms = await child.ask<number>({ kind: 'delay' })
  await settledWrites(child)
  const updates = ((await child.ask<Record<string, number>>({ kind: 'calls' }))['updateService'] ?? 0) / touched.size
  await child.stop()
  printAim({
    name: `storm of ${(written / took).toFixed(0)} manifest writes a second for ${took.toFixed(0)} s`,
    figures: `${updates.toFixed(2)} service updates per VM, event-loop delay p99 ${p99Ms.toFixed(0)} ms`,
    aim: '≤ 1 write per object and final state, p99 ≤ 50 ms',
    met: updates <= 1 && p99Ms <= 50,
  })
  printNote(`${touched.size} VMs, each written ${inARow} times in a row`)
}

/** Until nothing is written for two seconds. */
async function settledWrites(child: { ask<Answer>(request: { kind: 'calls' }): Promise<Answer> }): Promise<void> {
  for (let before = -1; ; ) {
    const now = (await child.ask<Record<string, number>>({ kind: 'calls' }))['updateService'] ?? 0
    if (now === before) return
    before = now
    await pause(2_000)
  }
}
