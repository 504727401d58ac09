import { tapNamePattern } from '../api/names.ts'
import type { GuestFilterFact } from '../api/wire/broker-admin.ts'
import type { GuestFilter, TapLock } from '../ports/guest-filter.ts'
import type { HostNetwork } from '../ports/host-network.ts'
import type { Log } from '../ports/log.ts'

export interface TapLocksOptions {
  readonly filter: GuestFilter
  readonly network: Pick<HostNetwork, 'exists'>
  readonly log: Log
}

/**
 * Keeps the kernel's rules for the TAPs of this node (ADR 0024).
 *
 * *Guarantees*: `lock` ends with the rules in place, or with a problem that `fact` tells. Rules that somebody removed come back with the next sweep.
 * *Caveats*: rules stay as long as their TAP, so also after a lease whose QEMU is still ending.
 */
export class TapLocks {
  readonly #options: TapLocksOptions
  /** By TAP, its MAC. Includes what an earlier broker locked: no process but a broker can change that. */
  readonly #wanted = new Map<string, string>()
  readonly #problems = new Map<string, string>()
  /** A TAP went since rules were last removed; at first nobody knows. */
  #mayBeStale = true
  #lastFault = ''
  /** Steps on the rules are done one after another. */
  #turn: Promise<void> = Promise.resolve()

  constructor(options: TapLocksOptions) {
    this.#options = options
  }

  /** Takes over what an earlier broker left, and removes what has no TAP any more. Once, before anybody is granted anything. Never rejects. */
  start(): Promise<void> {
    return this.#inTurn(async () => {
      for (const { tap, mac } of await this.#options.filter.locks()) if (tapNamePattern.test(tap)) this.#wanted.set(tap, mac)
      await this.#removeStale()
    })
  }

  /** The MAC that a TAP is locked to. */
  macOf(tap: string): string | undefined {
    return this.#wanted.get(tap)
  }

  /** Of TAPs that exist. Never rejects. */
  async lock(locks: readonly TapLock[]): Promise<void> {
    for (const { tap, mac } of locks) {
      this.#wanted.set(tap, mac)
      this.#problems.set(tap, 'the rules are being made')
    }
    await this.#inTurn(async () => {
      for (const lock of locks) await this.#apply(lock)
    })
  }

  /** Says that a TAP cannot be locked. */
  refuse(tap: string, problem: string): void {
    this.#problems.set(tap, problem)
  }

  fact(taps: readonly string[]): GuestFilterFact {
    const problem = taps.map((tap) => this.#problems.get(tap)).find((one) => one !== undefined)
    return problem === undefined ? { state: 'active', message: '' } : { state: 'inactive', message: problem }
  }

  /** Makes the rules again that are missing, and removes those without a TAP. Never rejects. */
  sweep(): Promise<void> {
    return this.#inTurn(async () => {
      await this.#removeStale()
      if (this.#wanted.size === 0) return
      const held = new Map((await this.#options.filter.locks()).map(({ tap, mac }) => [tap, mac]))
      for (const [tap, mac] of this.#wanted) if (held.get(tap) !== mac) await this.#apply({ tap, mac })
    })
  }

  async #removeStale(): Promise<void> {
    for (const tap of [...this.#wanted.keys(), ...this.#problems.keys()]) if (!this.#options.network.exists(tap)) this.#forget(tap)
    if (!this.#mayBeStale) return
    await this.#options.filter.keepOnly(new Set(this.#wanted.keys()))
    this.#mayBeStale = false
  }

  #forget(tap: string): void {
    this.#wanted.delete(tap)
    this.#problems.delete(tap)
    this.#mayBeStale = true
  }

  async #apply(lock: TapLock): Promise<void> {
    const { filter, log, network } = this.#options
    try {
      await filter.lock(lock)
      this.#problems.delete(lock.tap)
    } catch (error) {
      if (!network.exists(lock.tap)) return this.#forget(lock.tap)
      const { message } = error as Error
      if (this.#problems.get(lock.tap) !== message) log.warn({ ...lock, err: error }, 'Cannot filter what a guest sends')
      this.#problems.set(lock.tap, message)
    }
  }

  #inTurn(step: () => Promise<void>): Promise<void> {
    this.#turn = this.#turn.then(step).then(
      () => this.#noteFault(undefined),
      (error: unknown) => this.#noteFault(error as Error),
    )
    return this.#turn
  }

  /** Once, however often it happens again. */
  #noteFault(error: Error | undefined): void {
    const message = error?.message ?? ''
    if (error !== undefined && message !== this.#lastFault)
      this.#options.log.warn({ err: error }, 'Cannot read or remove the rules for what guests send')
    this.#lastFault = message
  }
}
