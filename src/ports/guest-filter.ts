import type { Mac } from '../api/mac.ts'

/** A TAP or macvtap, and the MAC of its guest. */
export interface TapLock {
  readonly tap: string
  readonly mac: Mac
  /** Frames may also have other source MACs. Absent: only `mac`. */
  readonly antiSpoof?: 'off' | undefined
  /** The guest's frames leave by a macvtap instead of arriving on a TAP. */
  readonly hook?: 'egress' | undefined
}

/** Rules in the kernel. Incomplete ones still contain the MAC of their TAP. */
interface HeldLock extends TapLock {
  readonly complete: boolean
}

/**
 * The kernel's rules for what guests may send (ADR 0024). They are bound to the TAP's name and outlive this process. Every method rejects
 * with HostError `Io` and the message of the tool or the kernel.
 */
export interface GuestFilter {
  /** Includes the rules of an earlier broker. */
  locks(): Promise<readonly HeldLock[]>
  /** Creates or replaces the rules of existing TAPs. If it fails, some TAPs may have their rules. */
  lock(locks: readonly TapLock[]): Promise<void>
  /** Removes the rules of all TAPs that are not in the list. */
  removeUnless(isKept: (tap: string) => boolean): Promise<void>
}

/** The kernel's rules for what VMs behind NAT may send (ADR 0031). They name the interface, which may not exist yet, and outlive this process. */
export interface UserNetworkFilter {
  readonly interface: string
  /** Rejects with HostError `Io`. */
  isComplete(): Promise<boolean>
  /** Creates or replaces all rules at once. Rejects with HostError `Io`. */
  apply(): Promise<void>
}
