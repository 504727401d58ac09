import { sleep } from '../src/api/time.ts'
import type { Clock } from '../src/ports/clock.ts'
import type { Log } from '../src/ports/log.ts'
import type { RunnerFiles } from '../src/ports/runner-files.ts'
import { afterCrash, type CrashRecord, crashDelayMs, readCrashRecord, writeCrashRecord } from './crash-record.ts'
import { type ExitName, exitCodes, isCrash } from './exit-codes.ts'

interface CrashBackoffDeps {
  readonly files: RunnerFiles
  readonly path: string
  readonly clock: Clock
  readonly log: Log
  readonly onWaiting: (message: string) => void
}

/** The crashes of one VM, the shutdowns by its guest, and the delay before its next start. */
export class CrashBackoff {
  readonly #deps: CrashBackoffDeps
  #record: CrashRecord | undefined

  constructor(deps: CrashBackoffDeps) {
    this.#deps = deps
  }

  /** The total number of crashes. */
  get restarts(): number {
    return this.#record?.restarts ?? 0
  }

  async read(): Promise<void> {
    const { files, path, log } = this.#deps
    this.#record = await readCrashRecord(files, path, (why) => log.warn({ why }, 'Cannot read the crash record'))
  }

  /** Rejects with the signal's reason. */
  async wait(signal: AbortSignal): Promise<void> {
    const delayMs = crashDelayMs(this.#record, this.#deps.clock.now())
    if (delayMs === 0) return
    const startsAt = new Date(this.#deps.clock.now() + delayMs).toISOString()
    const { failures, lastExitCode, lastMessage } = this.#record ?? { failures: 0, lastExitCode: 0, lastMessage: '' }
    const why = lastMessage ? `: ${lastMessage}` : ''
    this.#deps.onWaiting(
      `The guest ended ${failures} times in a row, the last time with exit code ${lastExitCode}${why}; next start at ${startsAt}`,
    )
    await sleep(this.#deps.clock, delayMs, signal)
  }

  /** A start that cannot succeed backs off like a crash. Otherwise Swarm would retry it many times a second. */
  async before<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
    try {
      return await work
    } catch (error) {
      await this.wait(signal)
      throw error
    }
  }

  /** `runningSinceMs` is when the guest started to run; undefined if it never did. */
  async count({ exit, message }: { readonly exit: ExitName; readonly message: string }, runningSinceMs: number | undefined): Promise<void> {
    const { clock, files, log, path } = this.#deps
    const nowMs = clock.now()
    const ranMs = runningSinceMs === undefined ? 0 : nowMs - runningSinceMs
    this.#record = afterCrash(this.#record, { nowMs, ranMs, exitCode: exitCodes[exit], isCrash: isCrash(exit), message })
    await writeCrashRecord(files, path, this.#record).catch((error: Error) => {
      log.warn({ why: error.message }, 'Cannot write the crash record; the next start will not wait')
    })
  }
}
