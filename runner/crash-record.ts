import * as z from 'zod'
import type { RunnerFiles } from '../src/ports/runner-files.ts'

/**
 * Crashes of one VM, in `run/crash.json`, from one runner to the next: Swarm starts a task again at once, so the runner itself waits.
 * The file is a convenience: a runner that cannot read or write it goes on with what it knows.
 */
const crashRecord = z.object({
  version: z.literal(1),
  /** Crashes since the guest last ran well. */
  failures: z.int().min(0),
  /** Crashes ever counted. */
  restarts: z.int().min(0),
  /** RFC 3339. */
  lastFailureAt: z.string().max(40),
  lastExitCode: z.int(),
})
export type CrashRecord = z.output<typeof crashRecord>

/** After this long a run was good: the next crash is a first one again. */
const goodRunMs = 10 * 60_000
const longestDelayMs = 60_000

/** The record after one more crash; `ranMs` is how long the guest ran before it, 0 where it never did. */
export function afterCrash(before: CrashRecord | undefined, crash: { nowMs: number; ranMs: number; exitCode: number }): CrashRecord {
  return {
    version: 1,
    failures: crash.ranMs >= goodRunMs ? 1 : (before?.failures ?? 0) + 1,
    restarts: (before?.restarts ?? 0) + 1,
    lastFailureAt: new Date(crash.nowMs).toISOString(),
    lastExitCode: crash.exitCode,
  }
}

/** Milliseconds still to wait before the next start: 1 s after the first crash, then 2, 4 … 60 s, counted from the crash. */
export function crashDelayMs(record: CrashRecord | undefined, nowMs: number): number {
  if (record === undefined || record.failures === 0) return 0
  const delayMs = Math.min(longestDelayMs, 1_000 * 2 ** Math.min(record.failures - 1, 10))
  const sinceMs = nowMs - Date.parse(record.lastFailureAt)
  // A clock that was set back, or a date that is none, must not make a wait longer than it was meant.
  return sinceMs >= 0 ? Math.max(0, delayMs - sinceMs) : delayMs
}

/** Undefined where there is none, or none that can be used; `onProblem` hears why. */
export async function readCrashRecord(
  files: Pick<RunnerFiles, 'readText'>,
  path: string,
  onProblem: (why: string) => void,
): Promise<CrashRecord | undefined> {
  try {
    const result = crashRecord.safeParse(JSON.parse(await files.readText(path)))
    if (result.success) return result.data
    onProblem(`${path} is not a crash record`)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') onProblem((error as Error).message)
  }
  return undefined
}

/** Replaces the file in one step. Throws what the file system says. */
export async function writeCrashRecord(files: Pick<RunnerFiles, 'replaceText'>, path: string, record: CrashRecord): Promise<void> {
  await files.replaceText(path, `${JSON.stringify(record)}\n`)
}
