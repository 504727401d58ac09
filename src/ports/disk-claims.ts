/** Keeps QEMU away from a disk file while it is replaced or deleted. */
export interface DiskClaims {
  /**
   * Takes QEMU's own lock, so that no QEMU can use the file. `inUse` if a QEMU has the lock, or if any process has a file of the agent open.
   * A missing or irregular file is no disk and counts as claimed. Follows no symbolic link and does not wait. Throws StateError.
   */
  claim(path: string): Promise<{ readonly kind: 'claimed'; release(): Promise<void> } | { readonly kind: 'inUse' }>
}
