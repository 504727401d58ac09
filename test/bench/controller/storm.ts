import { setTimeout as pause } from 'node:timers/promises'
import type { Figures } from '../figures.ts'
import { editManifest } from './objects.ts'
import type { Calls } from './protocol.ts'
import { type Bench, settledController, startIdle, type UnderTest } from './under-test.ts'

const perSecond = 3_000
const seconds = 10
/** Each VM's manifest is written so often in a row, then the next one's. The last write counts. */
const inARow = 30

/** Manifests are written faster than the controller can follow. The event loop's delay is measured beside that of an idle process. */
export async function benchStorm(bench: Bench): Promise<Figures> {
  const child = await settledController(bench)
  const idle = startIdle(bench)
  await idle.startMs()
  await child.ask({ kind: 'calls' })
  for (const one of [child, idle]) await one.ask({ kind: 'delay' })
  const touched = await writeStorm(bench)
  const [p99Ms, idleMs] = [await child.ask<number>({ kind: 'delay' }), await idle.ask<number>({ kind: 'delay' })]
  const writes = (await updatesUntilQuiet(child)) / touched
  await idle.stop()
  await child.stop()
  return {
    storm: {
      measured: `${writes.toFixed(2)} writes, p99 ${p99Ms.toFixed(0)} ms beside ${idleMs.toFixed(0)} ms of an idle process (${touched} VMs)`,
      isMet: writes <= 1.02 && p99Ms <= 50,
    },
  }
}

async function writeStorm({ manifests, vms }: Bench): Promise<number> {
  const all = perSecond * seconds
  const sinceMs = performance.now()
  for (let written = 0; written < all; await pause(1)) {
    const due = Math.min(all, ((performance.now() - sinceMs) / 1000) * perSecond)
    for (; written < due; written += 1) editManifest(manifests, Math.floor(written / inARow) % vms, 3 + (written % inARow))
  }
  return Math.min(vms, all / inARow)
}

/** Until no service is updated for two seconds. */
async function updatesUntilQuiet(child: UnderTest): Promise<number> {
  for (let sum = 0; ; ) {
    const updates = (await child.ask<Calls>({ kind: 'calls' }))['updateService'] ?? 0
    if (updates === 0) return sum
    sum += updates
    await pause(2_000)
  }
}
