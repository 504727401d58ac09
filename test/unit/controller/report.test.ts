import { expect, test } from 'vitest'
import { condition } from '../../../src/api/conditions.ts'
import type { RunResult } from '../../../src/controller/loop/reconcile-once.ts'
import { reportOf } from '../../../src/controller/status/report.ts'

const ready = [condition('AssetsReady', 'True', 'Prepared', '')]

function aRun(actions: readonly string[], conditions = ready): RunResult {
  return { kind: 'planned', plan: { actions, conditions, next: { kind: 'settled' } }, effects: [], applied: actions.length }
}

test('a run that only acted leaves the status to the run that follows', () => {
  expect(reportOf('assets', aRun(['prepare'], []), 'present')).toBeUndefined()
  expect(reportOf('assets', aRun(['prepare']), 'present')).toMatchObject({ conditions: ready, progress: { kind: 'acting' } })
  expect(reportOf('assets', aRun([], []), 'present')).toMatchObject({ conditions: [], progress: { kind: 'settled' } })
})
