import * as z from 'zod/mini'
import type { RunnerFiles } from '../src/ports/runner-files.ts'

/**
 * Crash history of one VM, kept in `run/crash.json` across runners. Swarm restarts a task at once, so the runner itself must back off.
 * Without a readable or writable file the runner uses the state in its memory.
 */
const crashRecord = z.object({
  version: z.literal(1),
  /** Crashes, and shutdowns by the guest itself, in a row since the guest last ran for `goodRunMs`. */
  failures: z.int().check(z.minimum(0)),
  /** Total number of crashes. */
  restarts: z.int().check(z.minimum(0)),
  /** RFC 3339. */
  lastFailureAt: z.string().check(z.maxLength(40)),
  lastExitCode: z.int(),
  /** Why, for people. Absent from release 0.1. */
  lastMessage: z.optional(z.string().check(z.maxLength(500))),
})
export type CrashRecord = z.output<typeof crashRecord>

/** A run of this length resets the backoff. */
const goodRunMs = 10 * 60_000
const longestDelayMs = 60_000

/** Returns the record after one more crash, or shutdown by the guest itself. `ranMs` is how long the guest ran, or 0 if it never ran. */
export function afterCrash(
  before: CrashRecord | undefined,
  end: { nowMs: number; ranMs: number; exitCode: number; isCrash: boolean; message?: string },
): CrashRecord {
  return {
    version: 1,
    failures: end.ranMs >= goodRunMs ? 1 : (before?.failures ?? 0) + 1,
    restarts: (before?.restarts ?? 0) + (end.isCrash ? 1 : 0),
    lastFailureAt: new Date(end.nowMs).toISOString(),
    lastExitCode: end.exitCode,
    ...(end.message === undefined ? {} : { lastMessage: end.message.slice(0, 500) }),
  }
}

/** Remaining delay before the next start: 1 s after the first crash, then 2, 4 … 60 s, counted from the time of the crash. */
export function crashDelayMs(record: CrashRecord | undefined, nowMs: number): number {
  if (record === undefined || record.failures === 0) return 0
  const delayMs = Math.min(longestDelayMs, 1_000 * 2 ** Math.min(record.failures - 1, 10))
  const sinceMs = nowMs - Date.parse(record.lastFailureAt)
  // A clock that was set back, or an invalid date, must not extend the delay.
  return sinceMs >= 0 ? Math.max(0, delayMs - sinceMs) : delayMs
}

/** Undefined if the file is missing or unusable; `onProblem` receives the reason. */
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

/** Replaces the file atomically. Throws the file system's error. */
export async function writeCrashRecord(files: Pick<RunnerFiles, 'replaceText'>, path: string, record: CrashRecord): Promise<void> {
  await files.replaceText(path, `${JSON.stringify(record)}\n`)
}
