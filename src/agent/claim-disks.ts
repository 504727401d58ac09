import type { Layout } from '../api/layout.ts'
import type { VmUid } from '../api/names.ts'
import type { DiskClaims } from '../ports/disk-claims.ts'
import type { StateFiles } from '../ports/state-files.ts'

/** Sixteen disks and what an operator may have put beside them; each claim holds a descriptor. */
const maxNames = 256

export interface ClaimDisksOptions {
  readonly layout: Layout
  readonly files: Pick<StateFiles, 'list'>
  readonly claims: DiskClaims
}

/**
 * Runs with every file of a VM's disk directory claimed, or says which of them is in use. All files count, since a runner can rename its disk.
 * The VM may have been started since anything else said that it is off: this is what counts. Throws StateError.
 */
export async function whileClaimed(options: ClaimDisksOptions, uid: VmUid, run: () => Promise<void>): Promise<string | undefined> {
  const directory = options.layout.disks(uid)
  const names = (await options.files.list(directory, maxNames + 1)) ?? []
  if (names.length > maxNames)
    return `${directory} holds more than ${maxNames} files, so its disks cannot be checked; remove what is not a disk`
  const releases: (() => Promise<void>)[] = []
  try {
    for (const name of names) {
      const claim = await options.claims.claim(`${directory}/${name}`)
      if (claim.kind === 'inUse') return `a process has ${directory}/${name} open`
      releases.push(() => claim.release())
    }
    await run()
    return undefined
  } finally {
    for (const release of releases) await release()
  }
}
