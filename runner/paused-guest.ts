import { responseTo } from '../src/api/qemu-run-states.ts'
import type { Clock } from '../src/ports/clock.ts'
import { sleep } from '../src/api/time.ts'
import type { Log } from '../src/ports/log.ts'
import type { Qemu } from './qemu.ts'
import { QmpError } from './qmp.ts'

/** Kept free, so that a resumed guest does not fill the disk again at once. */
const reserveBytes = 64 * 1024 * 1024
const shortestPauseMs = 1_000
const longestPauseMs = 30_000
/** After a run of this length the next pause starts with the shortest delay again. */
const goodRunMs = 60_000

export interface PausedGuestOptions {
  readonly qemu: Pick<Qemu, 'status' | 'run' | 'ended' | 'crash'>
  /** Free bytes of the file system that holds the disks. */
  readonly freeBytes: () => Promise<number>
  /** Somebody paused the guest (`docker vm pause`), so it is not resumed. */
  readonly isHeld: () => boolean
  readonly clock: Clock
  readonly log: Log
  /** Called with the reason while the guest is paused, and with '' when it runs. */
  readonly onPaused: (why: string) => void
}

/** Resumes a guest that QEMU paused, by the table in qemu-run-states.ts. */
export class PausedGuest {
  readonly #options: PausedGuestOptions
  readonly #over = new AbortController()
  #stops = 0
  #busy = false
  #pauseMs = shortestPauseMs
  #continuedAtMs = Number.NEGATIVE_INFINITY

  constructor(options: PausedGuestOptions) {
    this.#options = options
    void options.qemu.ended.then(() => this.#over.abort(new Error('QEMU has ended')))
  }

  /** Call this at each STOP event. Resolves when the guest runs again, has ended, or cannot be resumed. */
  async stopped(): Promise<void> {
    this.#stops += 1
    if (this.#busy) return
    this.#busy = true
    try {
      // `query-status` may miss a stop that occurs while the previous one is handled.
      for (let seen = 0; seen !== this.#stops; ) {
        seen = this.#stops
        await this.#untilRunning()
      }
    } catch (error) {
      if (!this.#over.signal.aborted) throw error
    } finally {
      this.#busy = false
    }
  }

  async #untilRunning(): Promise<void> {
    const { clock, qemu, onPaused } = this.#options
    if (clock.elapsed() - this.#continuedAtMs >= goodRunMs) this.#pauseMs = shortestPauseMs
    for (;;) {
      const state = await this.#ask(() => qemu.status())
      if (state === undefined) {
        await this.#pause()
        continue
      }
      const response = responseTo(state)
      if (response === 'end') return qemu.crash(state)
      if (this.#options.isHeld() && (response === 'continue' || response === 'continueWithRoom')) return onPaused(heldBySomebody)
      if (response !== 'continue' && response !== 'continueWithRoom') {
        if (state === 'running') onPaused('')
        return
      }
      onPaused(whyPaused(state))
      await this.#pause()
      if (response === 'continueWithRoom' && !(await this.#hasRoom())) continue
      if (this.#options.isHeld()) continue
      this.#options.log.info({ state }, 'Resuming the guest')
      this.#continuedAtMs = clock.elapsed()
      await this.#ask(() => qemu.run())
    }
  }

  /** Undefined if QEMU does not answer. The caller retries, since nothing else would resume the guest. */
  async #ask<T>(question: () => Promise<T>): Promise<T | undefined> {
    try {
      return await question()
    } catch (error) {
      if (!(error instanceof QmpError)) throw error
      this.#options.log.warn({ why: error.message }, 'QEMU did not answer while the guest is paused; retrying')
      return undefined
    }
  }

  async #pause(): Promise<void> {
    await sleep(this.#options.clock, this.#pauseMs, this.#over.signal)
    this.#pauseMs = Math.min(this.#pauseMs * 2, longestPauseMs)
  }

  /** If the free space is unknown, try to resume: QEMU pauses the guest again if there is none. */
  async #hasRoom(): Promise<boolean> {
    try {
      return (await this.#options.freeBytes()) >= reserveBytes
    } catch (error) {
      this.#options.log.warn({ why: (error as Error).message }, 'Cannot read the free space of the disks')
      return true
    }
  }
}

/** The message while somebody holds the guest. */
export const heldBySomebody = 'paused by docker vm pause'

function whyPaused(state: string): string {
  return responseTo(state) === 'continueWithRoom'
    ? `the file system of the disks is full: QEMU paused the guest. Free ${reserveBytes / 1024 / 1024} MiB; the guest resumes within 30 s`
    : `QEMU reports ${state}; resuming the guest`
}
