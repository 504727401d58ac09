import type { ImageFormat } from '../ports/image-tool.ts'

/**
 * Reads a qcow2 header (QEMU docs/interop/qcow2.rst) and decides whether an image can be the base of a VM's disk. Images are untrusted: with a
 * backing file or an external data file, QEMU and even `qemu-img info` would open any path on the host. This check therefore runs before any QEMU
 * program opens the image.
 */
export type ImageVerdict = { readonly ok: true; readonly virtualSizeBytes: number } | { readonly ok: false; readonly message: string }

/**
 * Header and extensions must end within this size and the first cluster. The largest cluster has 2 MiB, but a valid header needs only some hundred
 * bytes.
 */
export const headerBytes = 64 * 1024

const magic = 0x51_46_49_fb

/**
 * The first bytes decide the format, and they never change once the image is in the store. A raw image therefore never begins like a qcow2 image.
 * Each disk names the format of its image, so that QEMU never guesses it.
 */
export function imageFormat(start: Uint8Array): ImageFormat {
  return start.length >= 4 && new DataView(start.buffer, start.byteOffset).getUint32(0) === magic ? 'qcow2' : 'raw'
}

const versionTwoBytes = 72
const versionThreeBytes = 104
const extension = {
  end: 0,
  dataFile: 0x44_41_54_41,
  backingFormat: 0xe2_79_2a_ca,
  encryption: 0x05_37_be_77,
  bitmaps: 0x23_85_28_75,
} as const
/** Known bits of `incompatible_features`: dirty, external data file, compression type, extended L2 entries. Bit 1 means corrupt. */
const corruptBit = 1n << 1n
const dataFileBit = 1n << 2n
const knownBits = (1n << 5n) - 1n

const flatten = 'convert it to a standalone file with "qemu-img convert -O qcow2 IN OUT"'

export function judgeImageHeader(start: Uint8Array): ImageVerdict {
  const view = new DataView(start.buffer, start.byteOffset, start.byteLength)
  if (start.length < versionTwoBytes) return refuse('it ends within its header')
  const version = view.getUint32(4)
  if (version !== 2 && version !== 3) return refuse(`it has qcow2 version ${version}, but QEMU supports 2 and 3`)
  if (version === 3 && start.length < versionThreeBytes) return refuse('it ends within its header')
  if (view.getBigUint64(8) !== 0n || view.getUint32(16) !== 0) return refuse(`it has a backing file; ${flatten}`)
  if (view.getUint32(32) !== 0) return refuse(`it is encrypted; ${flatten}`)
  // QEMU reads the whole table at each open, up to 64 MiB of it into the VM's task, and no guest can use it.
  if (view.getUint32(60) !== 0) return refuse(`it has internal snapshots; ${flatten}`)
  const features = version === 3 ? judgeFeatures(view.getBigUint64(72)) : undefined
  if (features !== undefined) return refuse(features)
  return judgeExtensions(view, version === 3 ? view.getUint32(100) : versionTwoBytes) ?? judgeSize(view.getBigUint64(24))
}

function judgeFeatures(bits: bigint): string | undefined {
  if ((bits & dataFileBit) !== 0n) return `it keeps its data in another file; ${flatten}`
  if ((bits & corruptBit) !== 0n) return 'it is marked as corrupt; check it with "qemu-img check"'
  if ((bits & ~knownBits) !== 0n) return `it uses unsupported features; ${flatten}`
  return undefined
}

function judgeExtensions(view: DataView, firstOffset: number): ImageVerdict | undefined {
  for (let offset = firstOffset; ; ) {
    if (offset + 8 > view.byteLength) return refuse('its header does not end')
    const type = view.getUint32(offset)
    if (type === extension.end) return undefined
    if (type === extension.dataFile) return refuse(`it names an external data file; ${flatten}`)
    if (type === extension.backingFormat) return refuse(`it names the format of a backing file; ${flatten}`)
    if (type === extension.encryption) return refuse(`it is encrypted; ${flatten}`)
    // QEMU reads every bitmap into memory, and its size is what the header says.
    if (type === extension.bitmaps) return refuse(`it has dirty bitmaps; ${flatten}`)
    offset += 8 + Math.ceil(view.getUint32(offset + 4) / 8) * 8
  }
}

function judgeSize(size: bigint): ImageVerdict {
  if (size === 0n || size > BigInt(Number.MAX_SAFE_INTEGER)) return refuse(`its header declares ${size} bytes`)
  return { ok: true, virtualSizeBytes: Number(size) }
}

function refuse(message: string): ImageVerdict {
  return { ok: false, message }
}
