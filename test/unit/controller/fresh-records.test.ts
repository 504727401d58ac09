import { expect, it } from 'vitest'
import { freshRecords } from '../../../src/controller/loop/fresh-before-disruption.ts'

const update = [{ kind: 'updateService' }]

function bench() {
  const is = { suspended: false }
  const doubted: string[] = []
  const records = freshRecords({ doubt: (vm) => void doubted.push(vm), isSuspended: () => is.suspended })
  /** One run, and which records it had read again. */
  const run = (vm: string, actions: readonly unknown[]): { readonly begun: number; readonly again: boolean } => {
    doubted.length = 0
    records.begin(vm)
    const begun = doubted.length
    return { begun, again: records.doubtBefore(vm, actions) }
  }
  return { is, records, run }
}

it('has the record read again before a service is changed or removed, a VM is given up or disks are deleted, and before nothing else', () => {
  const { run } = bench()
  for (const kind of ['updateService', 'removeService', 'deleteDisks']) expect(run('web', [{ kind }])).toEqual({ begun: 0, again: true })
  expect(run('web', [{ kind: 'updateRecordLabels', endsVm: true }])).toEqual({ begun: 0, again: true })
  for (const kind of ['createService', 'updateRecordLabels']) expect(run('web', [{ kind }])).toEqual({ begun: 0, again: false })
  expect(run('web', [])).toEqual({ begun: 0, again: false })
})

it('begins the first run after an edit with that read, and has it read once', () => {
  const { records, run } = bench()
  run('web', [])
  records.declared('web')
  expect(run('db', update)).toEqual({ begun: 0, again: true })
  expect(run('web', update)).toEqual({ begun: 1, again: false })
  expect(run('web', update)).toEqual({ begun: 0, again: true })
})

it('asks for no record because a VM is declared for the first time, or again after it was forgotten', () => {
  const { records, run } = bench()
  records.declared('web')
  expect(run('web', [{ kind: 'createService' }])).toEqual({ begun: 0, again: false })
  records.declared('web')
  records.forget('web')
  expect(run('web', update)).toEqual({ begun: 0, again: true })
})

it('begins every run of a suspended VM with it: its end may have come without an event', () => {
  const { is, run } = bench()
  is.suspended = true
  expect(run('web', [])).toEqual({ begun: 1, again: false })
  expect(run('web', update)).toEqual({ begun: 1, again: false })
})
