import { isUid } from '../api/names.ts'
import type { Log } from '../ports/log.ts'
import type { StateFiles } from '../ports/state-files.ts'
import { type Layout, temporaryName } from '../api/layout.ts'

/** Removes temporary files of a killed agent from its own directories, before the agent writes anything. Never rejects. */
export async function sweepTemporaries({
  layout,
  files,
  log,
}: {
  readonly layout: Layout
  readonly files: Pick<StateFiles, 'list' | 'remove'>
  readonly log: Log
}): Promise<void> {
  try {
    const uids = ((await files.list(layout.instances)) ?? []).filter(isUid)
    for (const directory of [layout.grants, ...uids.map(layout.instance)]) {
      const names = ((await files.list(directory)) ?? []).filter((name) => temporaryName.test(name))
      for (const name of names) await files.remove(`${directory}/${name}`)
    }
  } catch (error) {
    log.warn({ error: (error as Error).message }, 'Cannot remove temporary files')
  }
}
