import { responseTo } from '../src/api/qemu-run-states.ts'
import { type Clock, sleep } from '../src/ports/clock.ts'
import type { Log } from '../src/ports/log.ts'
import type { Qemu } from './qemu.ts'
import { QmpError } from './qmp.ts'

/** Left free, so that a guest that continues does not fill the last block at once. */
const reserveBytes = 64 * 1024 * 1024
const shortestPauseMs = 1_000
const longestPauseMs = 30_000
/** A guest that ran this long since it was continued is waited for briefly again. */
const goodRunMs = 60_000

export interface PausedGuestOptions {
  readonly qemu: Pick<Qemu, 'status' | 'run' | 'ended' | 'crash'>
  /** Free bytes of the file system that holds the disks. */
  readonly freeBytes: () => Promise<number>
  readonly clock: Clock
  readonly log: Log
  /** Called with why the guest is paused, and with '' when it runs. */
  readonly onPaused: (why: string) => void
}

/** Continues a guest that QEMU paused, by the table in qemu-run-states.ts. */
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

  /** To be called at each STOP event. Resolves when the guest runs again, has ended, or cannot be helped. */
  async stopped(): Promise<void> {
    this.#stops += 1
    if (this.#busy) return
    this.#busy = true
    try {
      // A stop while the last one is dealt with may have been missed by `query-status`.
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
      if (response !== 'continue' && response !== 'continueWithRoom') {
        if (state === 'running') onPaused('')
        return
      }
      onPaused(whyPaused(state))
      await this.#pause()
      if (response === 'continueWithRoom' && !(await this.#hasRoom())) continue
      this.#options.log.info({ state }, 'Continuing the guest')
      this.#continuedAtMs = clock.elapsed()
      await this.#ask(() => qemu.run())
    }
  }

  /** A QEMU that is slow to answer is asked again: nobody else would continue its guest. */
  async #ask<T>(question: () => Promise<T>): Promise<T | undefined> {
    try {
      return await question()
    } catch (error) {
      if (!(error instanceof QmpError)) throw error
      this.#options.log.warn({ why: error.message }, 'QEMU did not answer for a guest that is paused')
      return undefined
    }
  }

  async #pause(): Promise<void> {
    await sleep(this.#options.clock, this.#pauseMs, this.#over.signal)
    this.#pauseMs = Math.min(this.#pauseMs * 2, longestPauseMs)
  }

  /** A file system that does not say is tried: QEMU pauses the guest again. */
  async #hasRoom(): Promise<boolean> {
    try {
      return (await this.#options.freeBytes()) >= reserveBytes
    } catch (error) {
      this.#options.log.warn({ why: (error as Error).message }, 'Cannot read the free space of the disks')
      return true
    }
  }
}

function whyPaused(state: string): string {
  return responseTo(state) === 'continueWithRoom'
    ? `the file system of the disks is full: QEMU paused the guest, and it continues within 30 s after ${reserveBytes / 1024 / 1024} MiB are free`
    : `QEMU says ${state}; the guest is being continued`
}
