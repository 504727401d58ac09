/**
 * What was asked of the runner. `exit`: SIGTERM, the task is to end. `stayOff`: the guest is to be off and the task to stay, since Swarm
 * would start an ended one again (the agent's power-off).
 */
export type StopKind = 'exit' | 'stayOff'

export class StopRequested extends Error {
  override readonly name = 'StopRequested'
}

export class Stop {
  readonly #any = new AbortController()
  readonly #exit = new AbortController()

  /** Aborted, with a StopRequested, by the first request of any kind. */
  get signal(): AbortSignal {
    return this.#any.signal
  }

  /** Aborted when the task is to end. */
  get exitSignal(): AbortSignal {
    return this.#exit.signal
  }

  get requested(): boolean {
    return this.#any.signal.aborted
  }

  /** A second request of the same kind changes nothing; `exit` after `stayOff` ends the task when the guest is off. */
  request(kind: StopKind, why: string): void {
    const reason = new StopRequested(why)
    if (kind === 'exit') this.#exit.abort(reason)
    this.#any.abort(reason)
  }
}

/** Resolves when the signal is aborted. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
