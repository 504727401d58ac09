import type * as z from 'zod/mini'
import { rfc3339, sleep } from '../src/api/time.ts'
import {
  alwaysRun,
  type FinishedFile,
  finishedFile,
  type FinishedRun,
  isOver,
  type RunPolicy,
  runPolicyFile,
} from '../src/api/wire/run-policy.ts'
import type { Clock } from '../src/ports/clock.ts'
import type { Log } from '../src/ports/log.ts'
import type { RunnerFiles } from '../src/ports/runner-files.ts'
import type { ExitName } from './exit-codes.ts'

/** The result of an end after which the guest does not run again. Undefined if it does. Pure. */
export function resultOf({ strategy }: RunPolicy, exit: ExitName): FinishedRun['result'] | undefined {
  switch (exit) {
    case 'GuestShutdown':
      return strategy === 'Always' ? undefined : 'Succeeded'
    case 'QemuCrashed':
    case 'GuestPanicked':
      return strategy === 'Once' || strategy === 'Manual' ? 'Failed' : undefined
    default:
      // Stopped by request, or the guest never ran.
      return undefined
  }
}

interface RunPolicyDeps {
  readonly files: Pick<RunnerFiles, 'readText' | 'replaceText'>
  readonly policyPath: string
  readonly finishedPath: string
  readonly clock: Clock
  readonly log: Log
}

/** The agent may change the policy while the guest is off. */
const rereadMs = 2_000

/** Whether the guest may run, by the files beside its disks. */
export class RunPolicyFiles {
  readonly #deps: RunPolicyDeps
  #finished: FinishedFile | undefined

  constructor(deps: RunPolicyDeps) {
    this.#deps = deps
  }

  /** Set while the guest has ended for good. */
  get finished(): FinishedRun | undefined {
    return this.#finished && { result: this.#finished.result, run: this.#finished.run }
  }

  /** Resolves when the guest may start, and forgets an earlier end. Rejects with the signal's reason. */
  async untilAllowed(onFinished: (finished: FinishedFile) => void, signal: AbortSignal): Promise<void> {
    for (;;) {
      const noted = this.#finished ?? (await this.#read(this.#deps.finishedPath, finishedFile, signal)) ?? undefined
      this.#finished = isOver(await this.policy(signal), noted) ? noted : undefined
      if (this.#finished === undefined) return noted === undefined ? undefined : this.#forget()
      onFinished(this.#finished)
      await sleep(this.#deps.clock, rereadMs, signal)
    }
  }

  /** Notes an end for good. Retries until it is on the disk, because the next runner must know. Rejects with the signal's reason. */
  async finish(result: FinishedRun['result'], run: string, message: string, signal: AbortSignal): Promise<void> {
    const { clock, files, finishedPath, log } = this.#deps
    this.#finished = { version: 1, result, run, at: rfc3339(clock), message: message.slice(0, 2_048) }
    for (;;) {
      try {
        return await files.replaceText(finishedPath, `${JSON.stringify(this.#finished)}\n`)
      } catch (error) {
        log.error({ why: (error as Error).message }, 'Cannot note that the guest has finished; retrying')
      }
      await sleep(clock, rereadMs, signal)
    }
  }

  /** The end belongs to an earlier request. Without room on the disk it stays, which at worst keeps a VM off. */
  async #forget(): Promise<void> {
    const { files, finishedPath, log } = this.#deps
    await files
      .replaceText(finishedPath, 'null\n')
      .catch((error: Error) => log.warn({ why: error.message }, 'Cannot remove the note of an earlier end'))
  }

  /** The strategy is `Always` if the agent wrote no policy. An unreadable one is not: the guest could run once too often. */
  async policy(signal?: AbortSignal): Promise<RunPolicy> {
    return (await this.#read(this.#deps.policyPath, runPolicyFile, signal)) ?? alwaysRun
  }

  /** Undefined if the file does not exist. Retries until it can be read. */
  async #read<T>(path: string, schema: z.ZodMiniType<T>, signal?: AbortSignal): Promise<T | undefined> {
    for (;;) {
      try {
        return schema.parse(JSON.parse(await this.#deps.files.readText(path)))
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
        this.#deps.log.error({ path, why: (error as Error).message }, 'Cannot read the file that says whether the guest may run; retrying')
      }
      await sleep(this.#deps.clock, rereadMs, signal)
    }
  }
}
