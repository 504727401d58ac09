/** Keeps QEMU away from a disk file while it is replaced or deleted. */
export interface DiskClaims {
  /**
   * Takes the lock that a QEMU takes: no QEMU can use the file while it is held. `inUse` where a QEMU has the lock, and where any process has a file
   * of the agent's own open, whatever became of that process's locks. What is missing or no regular file is nobody's disk and counts as claimed.
   * Follows no symbolic link and does not wait. Throws StateError.
   */
  claim(path: string): Promise<{ readonly kind: 'claimed'; release(): Promise<void> } | { readonly kind: 'inUse' }>
}
