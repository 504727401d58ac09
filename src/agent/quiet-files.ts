import type { Clock } from '../ports/clock.ts'
import type { FileFact } from '../ports/state-files.ts'

/** A running copy writes more often than this. scp and rsync over a slow network pause for a few seconds. */
export const quietMs = 10_000

export interface QuietFiles {
  /** How long to wait until the file counts as complete. 0 if it is complete. */
  waitMs(path: string, fact: FileFact): number
}

/**
 * A file is complete once it has not changed for a while, by its modification time or by our own observation. The modification time may be in the
 * future.
 */
export function quietFiles(clock: Clock): QuietFiles {
  const seen = new Map<string, { readonly version: string; readonly sinceMs: number }>()
  return {
    waitMs(path, fact) {
      const ageMs = clock.now() - fact.modifiedMs
      const before = seen.get(path)
      if (before?.version !== fact.version) seen.set(path, { version: fact.version, sinceMs: clock.elapsed() })
      const unchangedMs = before?.version === fact.version ? clock.elapsed() - before.sinceMs : 0
      const quietForMs = Math.max(ageMs, unchangedMs)
      if (quietForMs < quietMs) return quietMs - Math.max(0, quietForMs)
      seen.delete(path)
      return 0
    },
  }
}
