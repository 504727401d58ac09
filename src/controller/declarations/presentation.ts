import { type ConditionDraft, condition } from '../../api/conditions.ts'
import type { VirtualMachine } from '../../api/manifest.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Declaration } from '../../ports/declarations.ts'
import type { VmMemory } from './state.ts'

const notRead = { kind: 'unknown', message: 'waiting for a complete read of the manifests since the controller started' } as const
/** Longer messages are cut. */
const longestMessage = 4_096

/** Dates by the current setting of the clock. */
interface Dates {
  readonly at: (elapsedMs: number) => string
  /** The end of a removal grace period that began then. */
  readonly graceEnd: (sinceMs: number) => string
}

export function datesOf(clock: Clock, removalGraceMs: number): Dates {
  /** Rounded to the second, because the two clocks are not read at exactly the same time. */
  const at = (elapsedMs: number): string => {
    const atMs = clock.now() - clock.elapsed() + elapsedMs
    return new Date(Math.round(atMs / 1_000) * 1_000).toISOString().replace('.000Z', 'Z')
  }
  return { at, graceEnd: (sinceMs) => at(sinceMs + removalGraceMs) }
}

/** The declaration that reconcilers get for a VM with this memory. */
export function declarationOf(memory: VmMemory | undefined, dates: Dates): Declaration {
  if (memory === undefined) return notRead
  const { good, state } = memory
  switch (state.kind) {
    case 'present':
      return good === undefined ? notRead : { kind: 'present', ...good }
    case 'broken':
      return good === undefined ? { kind: 'unknown', message: state.rendered } : { kind: 'present', ...good }
    case 'unknown':
      return good === undefined ? { kind: 'unknown', message: state.message } : { kind: 'present', ...good }
    case 'handover':
      return good === undefined ? { kind: 'unknown', message: handOverMessage(state, dates) } : { kind: 'present', ...good }
    case 'absent':
      return { kind: 'unknown', message: absentMessage(state.sinceMs, memory.removalConfirmed, dates), ...removalOf(memory) }
    case 'blocked':
      return { kind: 'unknown', message: state.message, ...removalOf(memory) }
    case 'removed':
      return { kind: 'removed', ...deletionPolicyOf(state.was) }
    default:
      return state satisfies never
  }
}

function removalOf({ good, mustConfirm, removalConfirmed }: VmMemory) {
  return { ...deletionPolicyOf(good?.vm), mustConfirm: mustConfirm !== undefined && !removalConfirmed }
}

function deletionPolicyOf(vm: VirtualMachine | undefined): Pick<Extract<Declaration, { kind: 'removed' }>, 'deletionPolicy'> {
  return vm === undefined ? {} : { deletionPolicy: vm.spec.deletionPolicy ?? 'Retain' }
}

function absentMessage(sinceMs: number, confirmed: boolean, dates: Dates): string {
  const why = confirmed ? 'its removal was confirmed' : `in no manifest since ${dates.at(sinceMs)}`
  return `${why}; will be removed at ${dates.graceEnd(sinceMs)} unless the manifest is restored`
}

function handOverMessage({ sinceMs, from, to }: Extract<VmMemory['state'], { kind: 'handover' }>, dates: Dates): string {
  return `not in source ${from} since ${dates.at(sinceMs)}; ${to} takes the VM over at ${dates.graceEnd(sinceMs)}`
}

/** The Valid condition of a VM of this memory. */
export function validOf(memory: VmMemory | undefined, dates: Dates): ConditionDraft {
  if (memory === undefined) return condition('Valid', 'Unknown', 'NotRead', notRead.message)
  const { good, state } = memory
  switch (state.kind) {
    case 'present':
      return condition('Valid', 'True', 'Accepted', memory.rivals)
    case 'broken': {
      const kept = good === undefined ? '' : '\nThe last valid state stays in force.'
      const rivals = memory.rivals === '' ? '' : `\n${memory.rivals}`
      return condition('Valid', 'False', 'ManifestInvalid', `${state.rendered.slice(0, longestMessage)}${kept}${rivals}`)
    }
    case 'unknown':
      return good === undefined
        ? condition('Valid', 'Unknown', 'SourceUnreadable', state.message)
        : condition('Valid', 'True', 'Accepted', `the last valid state stays in force: ${state.message}`)
    case 'handover':
      return good === undefined
        ? condition('Valid', 'Unknown', 'HandOver', handOverMessage(state, dates))
        : condition('Valid', 'True', 'HandOver', handOverMessage(state, dates))
    case 'absent':
      return condition('Valid', 'Unknown', 'Absent', absentMessage(state.sinceMs, memory.removalConfirmed, dates))
    case 'blocked':
      return condition('Valid', 'Unknown', 'RemovalWithheld', state.message)
    case 'removed':
      return condition('Valid', 'False', 'Removed', 'its manifest was removed')
    default:
      return state satisfies never
  }
}
