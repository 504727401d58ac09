import { expect, it } from 'vitest'
import { reconcileLoop } from '../../../src/controller/loop/reconcile-loop.ts'
import type { AnyReconciler } from '../../../src/controller/loop/reconcile-once.ts'
import { noMetrics } from '../../simulation/no-metrics.ts'
import { evenRandom, silentLog, virtualClock } from './virtual-clock.ts'

it('yields to the event loop before it begins a run', async () => {
  const seen: string[] = []
  const reconciler: AnyReconciler<string> = {
    name: 'assets',
    observe: async (key: string) => void seen.push(key),
    plan: () => ({ actions: [], conditions: [], next: { kind: 'settled' } }),
    apply: async () => undefined,
    effectOf: () => ({ kind: 'none', disruptive: false }),
  }
  let go = (): void => undefined
  const turn = (): Promise<void> => new Promise((resolve) => (go = resolve))
  const ports = {
    clock: virtualClock(),
    random: evenRandom,
    log: silentLog,
    metrics: noMetrics,
    concurrency: 1,
    onStart: () => undefined,
    onResult: () => undefined,
    turn,
  }
  const loop = reconcileLoop(reconciler, ports, new AbortController().signal)
  loop.queue.add('web')
  await new Promise((resolve) => setImmediate(resolve))
  expect(seen).toEqual([])
  go()
  await new Promise((resolve) => setImmediate(resolve))
  expect(seen).toEqual(['web'])
  await loop.stop()
})
