import type { VmName } from '../../api/names.ts'
import type { Declaration } from '../../ports/declarations.ts'
import type { RunResult } from '../loop/reconcile-once.ts'
import type { DeclarationStore } from '../declarations/store.ts'
import type { EffectRecorder } from './effects.ts'
import { generationOf, type StatusStore } from './store.ts'
import { type Report, reportOf } from './report.ts'

export interface ResultPorts {
  readonly store: Pick<DeclarationStore, 'get' | 'knows'>
  readonly status: Pick<StatusStore, 'report' | 'view'>
  readonly effects: Pick<EffectRecorder, 'ofVm'>
  readonly onWrite: (owner: Report['owner'], vm: VmName) => void
  readonly newTask: (vm: VmName) => void
}

/** Adds the result of each run of a VM to its status. `began` is the declaration at the start of the run. */
export function resultReporter({ store, status, effects, onWrite, newTask }: ResultPorts) {
  function wrote(owner: Report['owner'], vm: VmName, result: RunResult): void {
    if (result.kind !== 'planned' || result.effects.some(({ onNode }) => onNode !== true)) onWrite(owner, vm)
    const hadService = status.view(vm, store.get(vm)).timeline['service'] !== undefined
    if (result.kind === 'planned') effects.ofVm(vm, result.effects, hadService)
  }

  return (owner: Report['owner'], vm: VmName, began: Declaration, result: RunResult): void => {
    if (result.applied > 0) wrote(owner, vm, result)
    const declaration = store.get(vm)
    // The declaration changed during the run, so the run says nothing about it. The next one is queued already.
    if (began.kind !== declaration.kind || !store.knows(vm)) return
    const report = reportOf(owner, result, declaration.kind)
    if (report !== undefined && status.report(vm, generationOf(began), report).newTask) newTask(vm)
  }
}
