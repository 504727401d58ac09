/**
 * The kinds of stop request. `exit`: SIGTERM, end the task. `stayOff`: shut the guest down and keep the task, since Swarm would restart one that ends
 * (the agent's power-off).
 */
export type StopKind = 'exit' | 'stayOff'

export class StopRequested extends Error {
  override readonly name = 'StopRequested'
}

export class Stop {
  readonly #any = new AbortController()
  readonly #exit = new AbortController()

  /** Aborted with a StopRequested by the first request of any kind. */
  get signal(): AbortSignal {
    return this.#any.signal
  }

  /** Aborted when the task must end. */
  get exitSignal(): AbortSignal {
    return this.#exit.signal
  }

  get requested(): boolean {
    return this.#any.signal.aborted
  }

  /** Repeating a request changes nothing. `exit` after `stayOff` ends the task when the guest is off. */
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
