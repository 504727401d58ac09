import { type Condition, type ConditionType, readyChecks } from '../../api/conditions.ts'
import type { VmView } from '../../api/wire/controller-api.ts'
import { nextStep } from './next-step.ts'

/** The reason that blocks a VM, and the next command. */
export interface Why {
  readonly ready: boolean
  /** One sentence. */
  readonly sentence: string
  readonly next: string | undefined
}

/** The first failing condition blocks the rest. */
export function why(vm: VmView): Why {
  const of = (type: ConditionType): Condition | undefined => vm.conditions.find((one) => one.type === type)
  const suspended = of('Suspended')
  if (suspended !== undefined)
    return { ready: false, sentence: `${vm.name} is suspended: ${suspended.message}.`, next: `docker vm plan ${vm.name}` }
  if (vm.declared === 'removed') return said(vm, 'is being removed', of('ServiceReady') ?? of('Placed'))
  const [valid, stalled, ready] = [of('Valid'), of('Stalled'), of('Ready')]
  if (valid?.status === 'False') return said(vm, 'keeps its last valid state', valid)
  if (vm.phase === 'Halted')
    return { ready: false, sentence: `${vm.name} is off, as its manifest says (runStrategy: Halted).`, next: undefined }
  if (ready?.status === 'True') return pending(vm, of('RestartRequired'))
  if (stalled !== undefined) return said(vm, 'needs a change by an operator', stalled)
  const failing = readyChecks.map(of).find((one) => one !== undefined && one.status !== 'True')
  return said(vm, 'is not Ready', failing ?? ready)
}

function pending(vm: VmView, restart: Condition | undefined): Why {
  if (restart?.status !== 'True') return { ready: true, sentence: `${vm.name} is Ready.`, next: undefined }
  return { ...said(vm, 'is Ready, but an edit waits for a restart', restart), ready: true }
}

function said(vm: VmView, what: string, one: Condition | undefined): Why {
  if (one === undefined) return { ready: false, sentence: `${vm.name} ${what}: the controller has not reconciled it yet.`, next: undefined }
  const message = (one.message.split('\n')[0] ?? '').replace(/[.]?$/, '.')
  const sentence = `${vm.name} ${what}: ${one.type} is ${one.status} (${one.reason})${message === '.' ? '.' : `: ${message}`}`
  return { ready: false, sentence, next: nextStep(one, vm) }
}
