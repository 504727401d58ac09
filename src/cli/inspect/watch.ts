import type { VmView } from '../../api/wire/controller-api.ts'
import type { VmChange } from '../../ports/controller-api.ts'
import { done, type Outcome } from '../output/outcome.ts'
import { type Form, rowByRow } from '../output/views.ts'

/** Where a verb that does not end writes to. */
export interface LiveOutput {
  write(text: string): void
  /** Aborted when nobody reads any more. */
  readonly closed: AbortSignal
}

interface Watch {
  readonly changes: AsyncIterable<VmChange>
  readonly form: Form<VmView>
  readonly isWanted: (vm: VmView) => boolean
  /** The one that must be there; all without it. */
  readonly name: string | undefined
  readonly output: LiveOutput
}

/**
 * The list, then a line for each change that a reader of this form can see. Ends when nobody reads any more, and throws when the controller ends it.
 */
export async function watchVms({ changes, form, isWanted, name, output }: Watch): Promise<Outcome> {
  const told = new Map<string, string | undefined>()
  const first = new Map<string, VmView>()
  const rows = rowByRow(form)
  let isSynced = false

  // Names and the API's own objects say that something moved, even where they look the same.
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

/** In the columns of the others; as JSON it has its name and phase alone to go by. */
function goneVm(name: string): VmView {
  const nothing = { generation: '', observedGeneration: '', labels: {}, conditions: [], facts: {}, timeline: {}, events: [] }
  return { name, phase: 'Gone', declared: 'removed', ...nothing }
}
