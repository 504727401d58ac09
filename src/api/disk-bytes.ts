const mebibyte = 1024 ** 2

/**
 * The most bytes that a disk's file takes: the virtual size and qcow2's metadata. L2 tables and reference counts are 1/6,500 of the size;
 * the rest is room for clusters that power cuts leak. An internal snapshot, which nothing of ours makes, can take more.
 */
export function mostDiskBytes(virtualBytes: number): number {
  return virtualBytes + Math.ceil(virtualBytes / 512) + 64 * mebibyte
}
