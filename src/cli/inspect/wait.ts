import { conditionOwners, type ConditionType } from '../../api/conditions.ts'
import { phases } from '../../api/phases.ts'
import type { VmView } from '../../api/wire/controller-api.ts'
import type { VmChange } from '../../ports/controller-api.ts'
import { done, oneOf, type Outcome, UsageError } from '../output/outcome.ts'
import { why } from './why.ts'

export type Wanted =
  | { readonly kind: 'condition'; readonly type: string; readonly status: string }
  | { readonly kind: 'phase'; readonly phase: string }
  | { readonly kind: 'delete' }

const conditionTypes = Object.keys(conditionOwners) as ConditionType[]
const statuses = ['True', 'False', 'Unknown'] as const

/** Parses `condition=Ready`, `condition=Ready=False`, `phase=Halted` or `delete`. Throws UsageError. */
export function wantedOf(text: string): Wanted {
  if (text === 'delete') return { kind: 'delete' }
  const [kind, value, status = 'True', ...rest] = text.split('=')
  const isPlain = value !== undefined && value !== '' && rest.length === 0
  if (kind === 'phase' && isPlain && !text.slice(kind.length + 1).includes('=')) return { kind, phase: oneOf('--for phase', phases, value) }
  if (kind === 'condition' && isPlain)
    return { kind, type: oneOf('--for condition', conditionTypes, value), status: oneOf('--for: the status', statuses, status) }
  throw new UsageError(`--for must be condition=TYPE[=STATUS], phase=PHASE or delete, not "${text}"`)
}

interface Wait {
  readonly changes: AsyncIterable<VmChange>
  readonly names: readonly string[]
  readonly wanted: Wanted
  /** Aborted at the timeout. */
  readonly deadline: AbortSignal
}

/** Exits 0 once all VMs meet the condition, and 1 on a timeout or for an unknown VM. */
export async function waitFor({ changes, names, wanted, deadline }: Wait): Promise<Outcome> {
  const last = new Map<string, VmView>()
  const open = (): readonly string[] => names.filter((name) => !isMet(wanted, last.get(name)))
  try {
    let isSynced = false
    for await (const change of changes) {
      if (change.kind === 'vm') last.set(change.vm.name, change.vm)
      else if (change.kind === 'gone') last.delete(change.name)
      else isSynced = true
      if (!isSynced) continue
      const unknown = wanted.kind === 'delete' ? undefined : names.find((name) => !last.has(name))
      if (unknown !== undefined) return failed([`there is no VM "${unknown}"`])
      if (open().length === 0) return done(names.map((name) => `${name} ${metText(wanted)}\n`).join(''))
    }
  } catch (error) {
    if (!deadline.aborted) throw error
  }
  return failed(['timed out', ...open().map((name) => stuck(name, last.get(name)))])
}

/** A condition of an older generation says nothing about the current manifest. */
function isMet(wanted: Wanted, vm: VmView | undefined): boolean {
  switch (wanted.kind) {
    case 'delete':
      return vm === undefined
    case 'phase':
      return vm?.phase === wanted.phase
    case 'condition':
      return vm?.conditions.some((one) => isSo(one, wanted) && one.observedGeneration === vm.generation) === true
  }
}

function isSo(
  one: { readonly type: string; readonly status: string },
  wanted: { readonly type: string; readonly status: string },
): boolean {
  return one.type.toLowerCase() === wanted.type.toLowerCase() && one.status === wanted.status
}

function metText(wanted: Wanted): string {
  switch (wanted.kind) {
    case 'delete':
      return 'is gone'
    case 'phase':
      return `is ${wanted.phase}`
    case 'condition':
      return wanted.status === 'True' ? `is ${wanted.type}` : `has ${wanted.type}=${wanted.status}`
  }
}

function stuck(name: string, vm: VmView | undefined): string {
  return vm === undefined ? `${name} was not found` : why(vm).sentence
}

function failed(lines: readonly string[]): Outcome {
  return { exit: 1, out: '', err: lines.map((line) => `error: ${line}\n`).join('') }
}
