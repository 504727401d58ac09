/** A TAP and the one MAC that frames from it may have. */
export interface TapLock {
  readonly tap: string
  readonly mac: string
}

/** Rules as they are in the kernel. Those that are not complete still name the MAC that the TAP was made for. */
interface HeldLock extends TapLock {
  readonly complete: boolean
}

/**
 * The kernel's rules for what guests send (ADR 0024). They go by the TAP's name and outlive this process. Every method rejects with HostError `Io`,
 * in the words of the tool or the kernel.
 */
export interface GuestFilter {
  /** Includes the rules of an earlier broker. */
  locks(): Promise<readonly HeldLock[]>
  /** Makes or replaces the rules of TAPs, which exist. Where it fails, some of them may have theirs. */
  lock(locks: readonly TapLock[]): Promise<void>
  /** Removes what is left of the rules of all TAPs that are not to be kept. */
  removeUnless(isKept: (tap: string) => boolean): Promise<void>
}
