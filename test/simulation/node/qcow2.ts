import type { ImageContent } from './memory-disk.ts'

const headerBytes = 112

/** As much of a qcow2 header as is judged (QEMU docs/interop/qcow2.rst). */
export function qcow2Header(image: ImageContent | undefined): Uint8Array {
  const header = new Uint8Array(headerBytes)
  const view = new DataView(header.buffer)
  view.setUint32(0, 0x51_46_49_fb)
  view.setUint32(4, 3)
  view.setUint32(20, 16)
  view.setBigUint64(24, BigInt(image?.virtualSizeBytes ?? 0))
  view.setUint32(100, 104)
  return header
}
