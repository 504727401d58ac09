import type { Layout } from '../api/layout.ts'
import type { Clock } from '../ports/clock.ts'
import type { StateFiles } from '../ports/state-files.ts'

/** A partial file that has not changed for this long has lost its writer. Downloads give up after a minute without progress. */
const abandonedMs = 120_000

/** Removes partial files except `ours`. Throws StateError. */
export async function sweepPartials(
  { files, layout, clock }: { readonly files: StateFiles; readonly layout: Layout; readonly clock: Clock },
  ours: ReadonlySet<string>,
): Promise<void> {
  for (const name of (await files.list(layout.store)) ?? []) {
    if (!/\.partial-[0-9a-f-]{36}$/.test(name) || ours.has(name)) continue
    const path = `${layout.store}/${name}`
    const fact = await files.stat(path)
    if (fact && clock.now() - fact.modifiedMs > abandonedMs) await files.remove(path)
  }
}
