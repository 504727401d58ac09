import type { VmView } from '../../api/wire/controller-api.ts'
import type { VmChange } from '../../ports/controller-api.ts'
import { done, type Outcome } from '../output/outcome.ts'
import { type Form, rowByRow } from '../output/views.ts'

/** Output of a verb that does not end. */
export interface LiveOutput {
  write(text: string): void
  /** Aborted when the output is closed. */
  readonly closed: AbortSignal
}

interface Watch {
  readonly changes: AsyncIterable<VmChange>
  readonly form: Form<VmView>
  readonly isWanted: (vm: VmView) => boolean
  /** If set, this VM must exist. Otherwise all VMs are watched. */
  readonly name: string | undefined
  readonly output: LiveOutput
}

/** Prints the list, then a line for each visible change. Ends when the output is closed. Throws if the controller closes the watch. */
export async function watchVms({ changes, form, isWanted, name, output }: Watch): Promise<Outcome> {
  const told = new Map<string, string | undefined>()
  const first = new Map<string, VmView>()
  const rows = rowByRow(form)
  let isSynced = false

  // For names and API objects, every change is printed, even if the line looks the same.
  const newsOf = (vm: VmView): string | undefined => (form.kind === 'columns' ? form.news(vm).join('\t') : undefined)

  function tell(vm: VmView): void {
    const news = newsOf(vm)
    if (news !== undefined && told.get(vm.name) === news) return
    told.set(vm.name, news)
    output.write(rows.next(vm))
  }

  function take(change: Exclude<VmChange, { kind: 'synced' }>): void {
    const key = change.kind === 'gone' ? change.name : change.vm.name
    if (name !== undefined && key !== name) return
    if (change.kind === 'gone') {
      first.delete(key)
      if (told.has(key)) tell(goneVm(key))
      told.delete(key)
    } else if (!isWanted(change.vm)) told.delete(key)
    else if (isSynced) tell(change.vm)
    else first.set(key, change.vm)
  }

  try {
    for await (const change of changes) {
      if (change.kind !== 'synced') {
        take(change)
        continue
      }
      if (name !== undefined && !first.has(name)) return { exit: 1, out: '', err: `error: there is no VM "${name}"\n` }
      isSynced = true
      const begun = [...first.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1))
      output.write(rows.first(begun))
      for (const vm of begun) told.set(vm.name, newsOf(vm))
    }
  } catch (error) {
    if (!output.closed.aborted) throw error
  }
  return done('')
}

/** A placeholder for the table. As JSON it only has a name and a phase. */
function goneVm(name: string): VmView {
  const nothing = { generation: '', observedGeneration: '', labels: {}, conditions: [], facts: {}, timeline: {}, events: [] }
  return { name, phase: 'Gone', declared: 'removed', ...nothing }
}
