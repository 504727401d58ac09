import { tapNamePattern } from '../api/names.ts'
import type { GuestFilterFact } from '../api/wire/broker-admin.ts'
import type { GuestFilter, TapLock } from '../ports/guest-filter.ts'
import type { HostNetwork } from '../ports/host-network.ts'
import type { Log } from '../ports/log.ts'

/** After so many TAPs it is nft that does not work. Trying the others too would hold up a VM's start. */
const mostFailures = 3

export interface TapLocksOptions {
  readonly filter: GuestFilter
  readonly network: Pick<HostNetwork, 'exists'>
  readonly log: Log
}

/**
 * Keeps the kernel's rules for the TAPs of this node (ADR 0024).
 *
 * *Guarantees*: `lock` ends with the rules in place, or with a problem that `fact` tells. Rules that somebody removed come back with the next sweep.
 * Rules of a TAP that exists are never removed, and none at all before what an earlier broker left was read.
 * *Caveats*: rules stay as long as their TAP, so also after a lease whose QEMU is still ending.
 */
export class TapLocks {
  readonly #options: TapLocksOptions
  /** By TAP, its MAC. Includes what an earlier broker locked: no process but a broker can change that. */
  readonly #wanted = new Map<string, string>()
  readonly #problems = new Map<string, string>()
  /** TAPs whose rules this broker made. Those of an earlier one may be of another release, or protect other networks. */
  readonly #made = new Set<string>()
  #hasTakenOver = false
  #sweeping: Promise<void> | undefined
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
      await this.#takeOver()
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
    await this.#inTurn(() => this.#apply(locks))
  }

  /** Says that a TAP cannot be locked. */
  refuse(tap: string, problem: string): void {
    this.#problems.set(tap, problem)
  }

  fact(taps: readonly string[]): GuestFilterFact {
    const problem = taps.map((tap) => this.#problems.get(tap)).find((one) => one !== undefined)
    return problem === undefined ? { state: 'active', message: '' } : { state: 'inactive', message: problem }
  }

  /** Makes the rules again that are missing, and removes those without a TAP. While one sweep waits or works, no other begins. Never rejects. */
  sweep(): Promise<void> {
    this.#sweeping ??= this.#inTurn(() => this.#sweepOnce()).finally(() => (this.#sweeping = undefined))
    return this.#sweeping
  }

  async #sweepOnce(): Promise<void> {
    await this.#takeOver()
    await this.#removeStale()
    if (this.#wanted.size === 0) return
    const held = new Map((await this.#options.filter.locks()).map((lock) => [lock.tap, lock]))
    const isDue = (tap: string, mac: string): boolean => {
      const rules = held.get(tap)
      return !this.#made.has(tap) || this.#problems.has(tap) || rules?.complete !== true || rules.mac !== mac
    }
    await this.#apply([...this.#wanted].flatMap(([tap, mac]) => (isDue(tap, mac) ? { tap, mac } : [])))
  }

  /** Until it went well once: nobody else knows for which MAC a TAP was made. */
  async #takeOver(): Promise<void> {
    if (this.#hasTakenOver) return
    for (const { tap, mac } of await this.#options.filter.locks())
      if (tapNamePattern.test(tap) && !this.#wanted.has(tap)) this.#wanted.set(tap, mac)
    this.#hasTakenOver = true
  }

  async #removeStale(): Promise<void> {
    const { filter, network } = this.#options
    for (const tap of [...this.#wanted.keys(), ...this.#problems.keys()]) if (!network.exists(tap)) this.#forget(tap)
    if (!this.#mayBeStale) return
    await filter.removeUnless((tap) => network.exists(tap))
    this.#mayBeStale = false
  }

  #forget(tap: string): void {
    this.#wanted.delete(tap)
    this.#problems.delete(tap)
    this.#made.delete(tap)
    this.#mayBeStale = true
  }

  /** All at once; where that fails, one by one, so that a TAP which is refused or gone keeps no other unlocked. */
  async #apply(locks: readonly TapLock[]): Promise<void> {
    if (locks.length === 0) return
    if (locks.length > 1 && (await this.#make(locks)) === undefined) return
    let failures = 0
    let error: Error | undefined
    for (const lock of locks.filter(({ tap }) => this.#options.network.exists(tap))) {
      if (failures < mostFailures) error = await this.#make([lock])
      if (error === undefined) continue
      failures += 1
      this.#noteProblem(lock, error)
    }
  }

  /** Returns what went wrong. */
  async #make(locks: readonly TapLock[]): Promise<Error | undefined> {
    try {
      await this.#options.filter.lock(locks)
    } catch (error) {
      return error as Error
    }
    for (const { tap } of locks) {
      this.#problems.delete(tap)
      this.#made.add(tap)
    }
    return undefined
  }

  #noteProblem(lock: TapLock, error: Error): void {
    const { log, network } = this.#options
    if (!network.exists(lock.tap)) return this.#forget(lock.tap)
    if (this.#problems.get(lock.tap) !== error.message) log.warn({ ...lock, err: error }, 'Cannot filter what a guest sends')
    this.#problems.set(lock.tap, error.message)
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
