/** A TAP and the one MAC that frames from it may have. */
export interface TapLock {
  readonly tap: string
  readonly mac: string
}

/**
 * The kernel's rules for what guests send (ADR 0024). They go by the TAP's name and outlive this process. Every method rejects with HostError `Io`,
 * in the words of the tool or the kernel.
 */
export interface GuestFilter {
  /** The TAPs whose rules are complete, also those that an earlier broker made. */
  locks(): Promise<readonly TapLock[]>
  /** Makes or replaces the rules of one TAP, which exists, in one step. */
  lock(lock: TapLock): Promise<void>
  /** Removes what is left of the rules of all TAPs but these. */
  keepOnly(taps: ReadonlySet<string>): Promise<void>
}
