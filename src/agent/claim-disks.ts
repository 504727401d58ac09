import type { Layout } from '../api/layout.ts'
import type { VmUid } from '../api/names.ts'
import type { DiskClaims } from '../ports/disk-claims.ts'
import type { StateFiles } from '../ports/state-files.ts'

/** Sixteen disks plus files of an operator. Each claim holds a descriptor. */
const maxNames = 256

export interface ClaimDisksOptions {
  readonly layout: Layout
  readonly files: Pick<StateFiles, 'list'>
  readonly claims: DiskClaims
}

/**
 * Runs `run` while every file of the VM's disk directory is claimed, or returns which file is in use. It claims all files, since a runner can rename
 * its disk. The claims also cover a VM that was started after an earlier check. Throws StateError.
 */
export async function whileClaimed(options: ClaimDisksOptions, uid: VmUid, run: () => Promise<void>): Promise<string | undefined> {
  const directory = options.layout.disks(uid)
  const names = (await options.files.list(directory, maxNames + 1)) ?? []
  if (names.length > maxNames)
    return `${directory} holds more than ${maxNames} files, so its disks cannot be checked; remove the files that are not disks`
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
