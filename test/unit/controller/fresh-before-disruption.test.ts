import { expect, it } from 'vitest'
import { freshRecords } from '../../../src/controller/loop/fresh-before-disruption.ts'
import type { Effect } from '../../../src/reconcilers/reconciler.ts'
import { aVmName } from '../../support/branded.ts'

const disruption: Effect = { kind: 'updateService', disruptive: true }
const harmless: Effect = { kind: 'createService', disruptive: false }

function bench() {
  const is = { suspended: false }
  const invalidated: string[] = []
  const records = freshRecords({ invalidate: (vm) => void invalidated.push(vm), isSuspended: () => is.suspended })
  /** One run, and which records it had read again. */
  const run = (name: string, ...effects: readonly Effect[]): { readonly begun: number; readonly again: boolean } => {
    const vm = aVmName(name)
    invalidated.length = 0
    records.begin(vm)
    const begun = invalidated.length
    return { begun, again: records.invalidateBefore(vm, effects) }
  }
  return { is, records, run }
}

it('has the record read again before a disruption, and before nothing else', () => {
  const { run } = bench()
  expect(run('web', harmless, disruption)).toEqual({ begun: 0, again: true })
  expect(run('web', harmless)).toEqual({ begun: 0, again: false })
  expect(run('web')).toEqual({ begun: 0, again: false })
})

it('begins the first run after an edit with that read, and has it read once', () => {
  const { records, run } = bench()
  run('web')
  records.declared(aVmName('web'))
  expect(run('db', disruption)).toEqual({ begun: 0, again: true })
  expect(run('web', disruption)).toEqual({ begun: 1, again: false })
  expect(run('web', disruption)).toEqual({ begun: 0, again: true })
})

it('asks for no record because a VM is declared for the first time, or again after it was forgotten', () => {
  const { records, run } = bench()
  records.declared(aVmName('web'))
  expect(run('web', harmless)).toEqual({ begun: 0, again: false })
  records.declared(aVmName('web'))
  records.forget(aVmName('web'))
  expect(run('web', disruption)).toEqual({ begun: 0, again: true })
})

it('begins every run of a suspended VM with it: its end may have come without an event', () => {
  const { is, run } = bench()
  is.suspended = true
  expect(run('web')).toEqual({ begun: 1, again: false })
  expect(run('web', disruption)).toEqual({ begun: 1, again: false })
})
