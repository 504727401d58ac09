import type { Clock } from '../ports/clock.ts'
import type { FileFact } from '../ports/state-files.ts'

/** Whoever copies an image in writes to it more often than this; scp and rsync over a slow network pause for a few seconds. */
export const quietMs = 10_000

export interface QuietFiles {
  /** How long to wait until the file counts as complete; 0 where it does. */
  waitMs(path: string, fact: FileFact): number
}

/**
 * A file counts as complete once nobody has written to it for a while. Its own time says so, or we saw it unchanged for that long: the time of a
 * file may lie in the future.
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
