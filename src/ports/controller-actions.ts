/** What the controller's API may ask for. What gives no promise answers at once; the others ask Docker, and reject with PortError. */
export interface ControllerActions {
  /** A hint to read every source now. */
  reload(): void
  /** Takes a person's word that these removals are meant: exactly those that are withheld now, or none. */
  confirmRemoval(names: readonly string[]): RemovalConfirmation
  /** Nothing is written for the VM by a run that begins after it resolved, whichever controller's; one that is under way may still end. */
  suspend(name: string): Promise<SuspensionAnswer>
  resume(name: string): Promise<SuspensionAnswer>
  /** Has everybody look at a VM now, whatever it waits for. False where none of this name is known. */
  reconcile(name: string): boolean
}

export type RemovalConfirmation =
  /** They are removed when the grace that begins now is over, unless their manifests return. */
  | { readonly kind: 'confirmed'; readonly names: readonly string[] }
  /** Something else is withheld, and nothing was confirmed. */
  | { readonly kind: 'other'; readonly withheld: readonly string[] }

export type SuspensionAnswer =
  /** It is so now; `changed` is false where it was before. */
  | { readonly kind: 'done'; readonly changed: boolean }
  /** No VM of this name is known. */
  | { readonly kind: 'unknown' }
  /** It cannot be done this way; `message` says why, and which way it can. */
  | { readonly kind: 'refused'; readonly message: string }
