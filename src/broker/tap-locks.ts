import { directLinkNamePattern, tapNamePattern } from '../api/names.ts'
import type { GuestFilterFact } from '../api/wire/broker-admin.ts'
import type { GuestFilter, TapLock } from '../ports/guest-filter.ts'
import type { HostNetwork } from '../ports/host-network.ts'
import type { Log } from '../ports/log.ts'

/** After this many failed TAPs nft itself does not work. Trying the other TAPs would delay the VM's start. */
const mostFailures = 3

export interface TapLocksOptions {
  readonly filter: GuestFilter
  readonly network: Pick<HostNetwork, 'exists'>
  readonly log: Log
}

/**
 * Keeps the kernel's filter rules for the TAPs of this node (ADR 0024).
 *
 * *Guarantees*: after `lock`, the rules are in place, or `fact` reports the problem. The next sweep restores removed rules. Rules of an existing TAP
 * are never removed, and no rule is removed before the rules of an earlier broker were read.
 * *Caveats*: rules stay as long as their TAP, which can outlive the lease while its QEMU ends.
 */
export class TapLocks {
  readonly #options: TapLocksOptions
  /** By TAP. Includes the rules of an earlier broker, since only a broker can change them. */
  readonly #wanted = new Map<string, TapLock>()
  readonly #problems = new Map<string, string>()
  /** TAPs whose rules this broker created. Rules of an earlier broker may be of another release, or protect other networks. */
  readonly #made = new Set<string>()
  #hasTakenOver = false
  #sweeping: Promise<void> | undefined
  /** True if a TAP was removed since the last cleanup of the rules, or if this broker has not checked yet. */
  #mayBeStale = true
  #lastFault = ''
  /** Serializes the steps on the rules. */
  #turn: Promise<void> = Promise.resolve()

  constructor(options: TapLocksOptions) {
    this.#options = options
  }

  /** Takes over the rules of an earlier broker, and removes those without a TAP. Call it once, before the first grant. Never rejects. */
  start(): Promise<void> {
    return this.#inTurn(async () => {
      await this.#takeOver()
      await this.#removeStale()
    })
  }

  /** The rules of the TAP, also those of an earlier broker. */
  lockOf(tap: string): TapLock | undefined {
    return this.#wanted.get(tap)
  }

  /** For existing TAPs. Never rejects. */
  async lock(locks: readonly TapLock[]): Promise<void> {
    for (const { tap, mac, antiSpoof, hook } of locks) {
      this.#wanted.set(tap, { tap, mac, antiSpoof, hook })
      this.#problems.set(tap, 'the rules are being created')
    }
    await this.#inTurn(() => this.#apply(locks))
  }

  /** Records that a TAP cannot be locked. */
  refuse(tap: string, problem: string): void {
    this.#problems.set(tap, problem)
  }

  fact(taps: readonly string[]): GuestFilterFact {
    const problem = taps.map((tap) => this.#problems.get(tap)).find((one) => one !== undefined)
    return problem === undefined ? { state: 'active', message: '' } : { state: 'inactive', message: problem }
  }

  /** Restores missing rules, and removes those without a TAP. A second call joins the pending sweep. Never rejects. */
  sweep(): Promise<void> {
    this.#sweeping ??= this.#inTurn(() => this.#sweepOnce()).finally(() => (this.#sweeping = undefined))
    return this.#sweeping
  }

  async #sweepOnce(): Promise<void> {
    await this.#takeOver()
    await this.#removeStale()
    if (this.#wanted.size === 0) return
    const held = new Map((await this.#options.filter.locks()).map((lock) => [lock.tap, lock]))
    const isDue = ({ tap, mac, antiSpoof }: TapLock): boolean => {
      const rules = held.get(tap)
      const isSame = rules?.complete === true && rules.mac === mac && rules.antiSpoof === antiSpoof
      return !isSame || !this.#made.has(tap) || this.#problems.has(tap)
    }
    await this.#apply([...this.#wanted.values()].filter(isDue))
  }

  /** Repeated until it succeeds, since only the existing rules tell the MAC of a TAP. */
  async #takeOver(): Promise<void> {
    if (this.#hasTakenOver) return
    for (const { tap, mac, antiSpoof, hook } of await this.#options.filter.locks())
      if (isOurName(tap) && !this.#wanted.has(tap)) this.#wanted.set(tap, { tap, mac, antiSpoof, hook })
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

  /** Applies all rules at once. If that fails, applies them one by one, so that one bad TAP does not block the others. */
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

  /** Returns the error, if any. */
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

  /** Logs a repeated error only once. */
  #noteFault(error: Error | undefined): void {
    const message = error?.message ?? ''
    if (error !== undefined && message !== this.#lastFault)
      this.#options.log.warn({ err: error }, 'Cannot read or remove the rules for what guests send')
    this.#lastFault = message
  }
}

function isOurName(name: string): boolean {
  return tapNamePattern.test(name) || directLinkNamePattern.test(name)
}
