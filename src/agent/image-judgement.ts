import type { ImageFormat } from '../ports/image-tool.ts'

/**
 * Reads a qcow2 header (QEMU docs/interop/qcow2.rst) and decides whether an image may stand under a VM's disk. Images are untrusted: one that
 * names a backing file or an external data file would have QEMU, or already `qemu-img info`, open whatever path it names on the host.
 * So this is asked before any QEMU program sees the image.
 */
export type ImageVerdict = { readonly ok: true; readonly virtualSizeBytes: number } | { readonly ok: false; readonly message: string }

/** Header and extensions must end within the first cluster; of a cluster of 2 MiB, the largest there is, an honest one uses some hundred bytes. */
export const headerBytes = 64 * 1024

const magic = 0x51_46_49_fb

/**
 * What an image is follows from its first bytes, which never change once it is in the store. A raw image therefore never begins like a qcow2 one,
 * and each disk names the format of its image, so no QEMU guesses it from content.
 */
export function imageFormat(start: Uint8Array): ImageFormat {
  return start.length >= 4 && new DataView(start.buffer, start.byteOffset).getUint32(0) === magic ? 'qcow2' : 'raw'
}

const versionTwoBytes = 72
const versionThreeBytes = 104
const extension = { end: 0, dataFile: 0x44_41_54_41, backingFormat: 0xe2_79_2a_ca, encryption: 0x05_37_be_77 } as const
/** Dirty, external data file, compression type, extended L2 entries: bits of `incompatible_features`; corrupt is bit 1. */
const corruptBit = 1n << 1n
const dataFileBit = 1n << 2n
const knownBits = (1n << 5n) - 1n

const flatten = 'make it one file that stands alone with "qemu-img convert -O qcow2 IN OUT"'

export function judgeImageHeader(start: Uint8Array): ImageVerdict {
  const view = new DataView(start.buffer, start.byteOffset, start.byteLength)
  if (start.length < versionTwoBytes) return refuse('it ends within its header')
  const version = view.getUint32(4)
  if (version !== 2 && version !== 3) return refuse(`it is qcow2 of version ${version}, and QEMU knows 2 and 3`)
  if (version === 3 && start.length < versionThreeBytes) return refuse('it ends within its header')
  if (view.getBigUint64(8) !== 0n || view.getUint32(16) !== 0) return refuse(`it has a backing file; ${flatten}`)
  if (view.getUint32(32) !== 0) return refuse(`it is encrypted; ${flatten}`)
  const features = version === 3 ? judgeFeatures(view.getBigUint64(72)) : undefined
  if (features !== undefined) return refuse(features)
  return judgeExtensions(view, version === 3 ? view.getUint32(100) : versionTwoBytes) ?? judgeSize(view.getBigUint64(24))
}

function judgeFeatures(bits: bigint): string | undefined {
  if ((bits & dataFileBit) !== 0n) return `it keeps its data in another file; ${flatten}`
  if ((bits & corruptBit) !== 0n) return 'it is marked as corrupt; look at it with "qemu-img check"'
  if ((bits & ~knownBits) !== 0n) return `it uses features that are not known here; ${flatten}`
  return undefined
}

function judgeExtensions(view: DataView, firstOffset: number): ImageVerdict | undefined {
  for (let offset = firstOffset; ; ) {
    if (offset + 8 > view.byteLength) return refuse('its header does not end')
    const type = view.getUint32(offset)
    if (type === extension.end) return undefined
    if (type === extension.dataFile) return refuse(`it names another file for its data; ${flatten}`)
    if (type === extension.backingFormat) return refuse(`it names the format of a backing file; ${flatten}`)
    if (type === extension.encryption) return refuse(`it is encrypted; ${flatten}`)
    offset += 8 + Math.ceil(view.getUint32(offset + 4) / 8) * 8
  }
}

function judgeSize(size: bigint): ImageVerdict {
  if (size === 0n || size > BigInt(Number.MAX_SAFE_INTEGER)) return refuse(`it says that it holds ${size} bytes`)
  return { ok: true, virtualSizeBytes: Number(size) }
}

function refuse(message: string): ImageVerdict {
  return { ok: false, message }
}
