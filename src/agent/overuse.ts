import { mostDiskBytes } from '../api/disk-bytes.ts'
import type { Layout } from '../api/layout.ts'
import { type VmUid, isUid } from '../api/names.ts'
import type { Overuse } from '../api/wire/agent-api.ts'
import type { Clock } from '../ports/clock.ts'
import { sleep } from '../api/time.ts'
import { messageOf } from '../api/error-message.ts'
import type { Log } from '../ports/log.ts'
import { type FileFact, StateError, type StateFiles } from '../ports/state-files.ts'
import { readIdentity } from './identity-file.ts'

const everyMs = 60_000
/** A runner's directory holds a few files. One with more is reported without counting its size. */
const maxNames = 256
/** Serial log, crash record, sockets, UEFI variables and TPM state take 5 MiB at most. */
const runBytes = 16 * 1024 ** 2
/** Maximum number of VMs in one report. */
const maxReported = 64

export interface OveruseOptions {
  readonly layout: Layout
  readonly files: Pick<StateFiles, 'list' | 'stat' | 'readText'>
  readonly clock: Clock
  readonly log: Log
}

/** Reports VMs that use too much of the state root, since no file system lets the agent limit them (ADR 0023). */
export function overuseWatch(options: OveruseOptions): { latest(): readonly Overuse[]; run(signal: AbortSignal): Promise<void> } {
  let latest: readonly Overuse[] = []
  return {
    latest: () => latest,
    async run(signal) {
      while (!signal.aborted) {
        try {
          const found = await measureAll(options)
          const known = new Set(latest.map((one) => one.uid))
          for (const one of found) if (!known.has(one.uid)) options.log.warn({ ...one }, 'A VM uses more of the state root than its disks')
          latest = found
        } catch (error) {
          options.log.warn({ reason: messageOf(error) }, 'Cannot measure how much of the state root the VMs use')
        }
        await sleep(options.clock, everyMs, signal).catch(() => undefined)
      }
    },
  }
}

async function measureAll({ layout, files }: OveruseOptions): Promise<readonly Overuse[]> {
  const found: Overuse[] = []
  for (const uid of ((await files.list(layout.instances)) ?? []).filter(isUid)) {
    const measured = await measure(layout, files, uid)
    if (measured.hasUncounted || measured.usedBytes > measured.allowedBytes) found.push(measured)
    if (found.length === maxReported) break
  }
  return found
}

async function measure(layout: Layout, files: OveruseOptions['files'], uid: VmUid): Promise<Overuse> {
  const seen = await readIdentity(files, layout.identityFile(uid))
  const identity = seen.kind === 'known' ? seen.identity : undefined
  const disks = (identity?.disks ?? []).map((disk) => mostDiskBytes(disk.sizeBytes))
  const directories = await Promise.all([layout.disks(uid), layout.run(uid), layout.firmware(uid)].map((path) => sumOf(files, path)))
  return {
    uid,
    vm: identity?.vm ?? null,
    usedBytes: directories.reduce((sum, one) => sum + one.bytes, 0),
    allowedBytes: disks.reduce((sum, one) => sum + one, runBytes),
    hasUncounted: directories.some((one) => one.hasUncounted),
  }
}

/** Sums the directory's own entries. Does not descend, since the runner could replace a directory by a link meanwhile. */
async function sumOf(files: OveruseOptions['files'], path: string): Promise<{ readonly bytes: number; readonly hasUncounted: boolean }> {
  const names = (await files.list(path, maxNames + 1)) ?? []
  let bytes = 0
  let hasUncounted = names.length > maxNames
  for (const name of names) {
    const fact = await statAny(files, `${path}/${name}`)
    if (fact === 'unreadable' || fact?.kind === 'directory') hasUncounted = true
    else bytes += fact?.allocatedBytes ?? 0
  }
  return { bytes, hasUncounted }
}

/** A runner can create a file whose name is not a valid path. It must not block the measurement of other VMs. */
async function statAny(files: Pick<StateFiles, 'stat'>, path: string): Promise<FileFact | 'unreadable' | undefined> {
  try {
    return await files.stat(path)
  } catch (error) {
    if (error instanceof StateError) return 'unreadable'
    throw error
  }
}
