import { messageOf } from '../api/error-message.ts'
import type { UserNetworkFact } from '../api/wire/broker-admin.ts'
import type { UserNetworkFilter } from '../ports/guest-filter.ts'
import type { Log } from '../ports/log.ts'

/**
 * Keeps the kernel's rules for the user network (ADR 0031).
 *
 * *Guarantees*: `fact` is `active` only after the rules were created or found complete. A sweep restores removed rules.
 */
export class UserNetwork {
  readonly #filter: UserNetworkFilter
  readonly #log: Pick<Log, 'warn'>
  /** Rules of an earlier broker may be of another release, or protect other nodes. */
  #made = false
  #problem = 'the rules are being created'
  #lastLogged = ''
  #sweeping: Promise<void> | undefined

  constructor(filter: UserNetworkFilter, log: Pick<Log, 'warn'>) {
    this.#filter = filter
    this.#log = log
  }

  fact(): UserNetworkFact {
    const state = this.#problem === '' ? 'active' : 'inactive'
    return { interface: this.#filter.interface, state, message: this.#problem.slice(0, 2000) }
  }

  /** Creates missing rules. A second call joins the pending sweep. Never rejects. */
  sweep(): Promise<void> {
    this.#sweeping ??= this.#sweepOnce().finally(() => (this.#sweeping = undefined))
    return this.#sweeping
  }

  async #sweepOnce(): Promise<void> {
    try {
      if (!this.#made || !(await this.#filter.isComplete())) await this.#filter.apply()
      this.#made = true
      this.#say('')
    } catch (error) {
      this.#say(messageOf(error))
    }
  }

  #say(problem: string): void {
    this.#problem = problem
    if (problem !== '' && problem !== this.#lastLogged) this.#log.warn({ problem }, 'Cannot filter the user network')
    this.#lastLogged = problem
  }
}
