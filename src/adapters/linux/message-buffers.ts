import { type Libc, pinned } from './libc.ts'

/** struct msghdr and struct iovec of the 64-bit ABIs. */
const headerBytes = 56
const iovecBytes = 16

/**
 * Buffers for recvmsg and sendmsg: header, iovec, name, control and data. They point to each other, so they share one allocation: a reference to the
 * header keeps all memory alive that the kernel writes to.
 */
export interface MessageBuffers {
  readonly header: Buffer
  readonly name: Buffer
  readonly control: Buffer
  readonly data: Buffer
  /** Call this before each system call: sets how much of each buffer the kernel may use. */
  prepare(dataLength: number, controlLength: number): void
  /** Valid after a system call. */
  controlLength(): number
  flags(): number
}

/** Name and control are rounded up to eight bytes. */
export function messageBuffers(
  libc: Libc,
  sizes: { readonly name: number; readonly control: number; readonly data: number },
): MessageBuffers {
  const nameAt = headerBytes + iovecBytes
  const controlAt = nameAt + roundUp(sizes.name)
  const dataAt = controlAt + roundUp(sizes.control)
  const whole = pinned(dataAt + sizes.data)
  const base = libc.address(whole)
  const header = whole.subarray(0, headerBytes)
  const iovec = whole.subarray(headerBytes, nameAt)
  header.writeBigUInt64LE(sizes.name === 0 ? 0n : base + BigInt(nameAt), 0)
  header.writeBigUInt64LE(base + BigInt(headerBytes), 16)
  header.writeBigUInt64LE(1n, 24)
  header.writeBigUInt64LE(sizes.control === 0 ? 0n : base + BigInt(controlAt), 32)
  iovec.writeBigUInt64LE(base + BigInt(dataAt), 0)
  return {
    header,
    name: whole.subarray(nameAt, nameAt + sizes.name),
    control: whole.subarray(controlAt, controlAt + sizes.control),
    data: whole.subarray(dataAt),
    prepare(dataLength, controlLength) {
      header.writeUInt32LE(sizes.name, 8)
      iovec.writeBigUInt64LE(BigInt(dataLength), 8)
      header.writeBigUInt64LE(BigInt(controlLength), 40)
      header.writeInt32LE(0, 48)
    },
    controlLength: () => Number(header.readBigUInt64LE(40)),
    flags: () => header.readInt32LE(48),
  }
}

function roundUp(bytes: number): number {
  return Math.ceil(bytes / 8) * 8
}
