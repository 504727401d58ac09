/** What the controller's API may ask for. Every call answers at once. */
export interface ControllerActions {
  /** A hint to read every source now. */
  reload(): void
  /** Takes a person's word that these removals are meant: exactly those that are withheld now, or none. */
  confirmRemoval(names: readonly string[]): RemovalConfirmation
}

export type RemovalConfirmation =
  /** They are removed when the grace that begins now is over, unless their manifests return. */
  | { readonly kind: 'confirmed'; readonly names: readonly string[] }
  /** Something else is withheld, and nothing was confirmed. */
  | { readonly kind: 'other'; readonly withheld: readonly string[] }
