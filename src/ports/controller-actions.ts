import type { VmName } from '../api/names.ts'
import type { PowerVerb } from '../api/power-verbs.ts'

/** The actions of the controller's API. Methods that return a promise call Docker and throw PortError. */
export interface ControllerActions {
  /** A hint to read every source now. */
  reload(): void
  /** Confirms these removals, which must be exactly the blocked ones; otherwise confirms none. */
  confirmRemoval(names: readonly VmName[]): RemovalConfirmation
  /** Once it resolves, no run of any controller that begins later makes changes for the VM; a current run may still finish. */
  suspend(name: string): Promise<SuspensionAnswer>
  resume(name: string): Promise<SuspensionAnswer>
  /** Starts, stops or controls a guest. Throws PortError also if its node does not answer. */
  power(name: string, verb: PowerVerb): Promise<PowerAnswer>
  /** Reconciles a VM now, even in backoff. False if the name is unknown. */
  reconcile(name: string): boolean
}

export type RemovalConfirmation =
  /** They are removed at the end of the grace period that begins now, unless their manifests are restored. */
  | { readonly kind: 'confirmed'; readonly names: readonly string[] }
  /** Other removals are blocked, and none was confirmed. */
  | { readonly kind: 'other'; readonly withheld: readonly string[] }

/** `refused` also if the manifest decides; the message says which line to edit. */
export type PowerAnswer = SuspensionAnswer

export type SuspensionAnswer =
  /** Done; `changed` is false if it was so before. */
  | { readonly kind: 'done'; readonly changed: boolean }
  /** No VM with this name is known. */
  | { readonly kind: 'unknown' }
  /** Not possible this way; `message` says why, and what to do instead. */
  | { readonly kind: 'refused'; readonly message: string }
