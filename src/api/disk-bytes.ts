const mebibyte = 1024 ** 2

/**
 * The maximum size of a disk's file: the virtual size plus qcow2 metadata. L2 tables and reference counts are 1/6,500 of the size; the rest
 * is a reserve for clusters that power cuts leak. Internal snapshots, which swarmvirt never creates, can take more.
 */
export function mostDiskBytes(virtualBytes: number): number {
  return virtualBytes + Math.ceil(virtualBytes / 512) + 64 * mebibyte
}
