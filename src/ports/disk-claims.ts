/** Keeps QEMU away from a disk file while it is replaced. */
export interface DiskClaims {
  /**
   * Takes the lock that a QEMU takes: while it is held none can open this file, and where one has it open it cannot be taken. A file that is not
   * there is free. Throws StateError.
   */
  claim(path: string): Promise<{ readonly kind: 'claimed'; release(): Promise<void> } | { readonly kind: 'inUse' }>
}
