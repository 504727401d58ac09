import { formatBytes } from '../api/quantity.ts'
import type { ImageVerdict } from './image-judgement.ts'

const sectorBytes = 512
const ascii = (text: string): readonly number[] => [...Buffer.from(text, 'ascii')]

interface Signature {
  readonly at: number
  readonly bytes: readonly number[]
  readonly what: string
  readonly help: string
}

const convert = 'convert it with "qemu-img convert -O qcow2 IN OUT"'
const decompress = 'decompress it first'

/** Formats that people mistake for a raw image. The guest would see the container format instead of its disk, for the life of the VM. */
const signatures: readonly Signature[] = [
  { at: 0, bytes: [0x1f, 0x8b], what: 'gzip', help: decompress },
  { at: 0, bytes: [0xfd, ...ascii('7zXZ'), 0], what: 'xz', help: decompress },
  { at: 0, bytes: [0x28, 0xb5, 0x2f, 0xfd], what: 'zstd', help: decompress },
  { at: 0, bytes: ascii('BZh'), what: 'bzip2', help: decompress },
  { at: 0, bytes: [...ascii('PK'), 3, 4], what: 'zip', help: decompress },
  { at: 0, bytes: [...ascii('7z'), 0xbc, 0xaf, 0x27, 0x1c], what: '7z', help: decompress },
  { at: 257, bytes: ascii('ustar'), what: 'tar', help: 'unpack it first' },
  { at: 0, bytes: ascii('KDMV'), what: 'vmdk', help: convert },
  { at: 0, bytes: ascii('COWD'), what: 'vmdk', help: convert },
  { at: 0, bytes: ascii('# Disk DescriptorFile'), what: 'vmdk', help: convert },
  { at: 0, bytes: ascii('vhdxfile'), what: 'vhdx', help: convert },
  { at: 0, bytes: ascii('conectix'), what: 'vhd', help: convert },
  { at: 64, bytes: [0x7f, 0x10, 0xda, 0xbe], what: 'vdi', help: convert },
  { at: 0, bytes: [...ascii('QED'), 0], what: 'qed', help: convert },
  { at: 0, bytes: ascii('WithoutFreeSpace'), what: 'parallels', help: convert },
  { at: 0, bytes: ascii('WithouFreSpacExt'), what: 'parallels', help: convert },
  { at: 0, bytes: [...ascii('LUKS'), 0xba, 0xbe], what: 'LUKS', help: 'decrypt it first' },
]

/** Whether a file that is not qcow2 can be a raw disk. `start` holds its first 64 KiB. */
export function judgeRaw(start: Uint8Array, sizeBytes: number): ImageVerdict {
  if (sizeBytes === 0) return refuse('it is empty')
  const other = signatures.find(({ at, bytes }) => bytes.every((byte, index) => start[at + index] === byte))
  if (other) return refuse(`it is a ${other.what} file, but an image must be qcow2 or raw; ${other.help}`)
  if (isText(start.subarray(0, sectorBytes))) return refuse('it is a text file, but an image must be qcow2 or raw')
  if (sizeBytes % sectorBytes !== 0)
    return refuse(`it is not qcow2, and its ${sizeBytes} bytes are not a multiple of 512, as a raw image requires; copy it again`)
  const needs = endOfPartitions(start)
  if (needs > sizeBytes)
    return refuse(`it is truncated: its partition table needs ${formatBytes(needs)}, but it has ${formatBytes(sizeBytes)}; copy it again`)
  return { ok: true, virtualSizeBytes: sizeBytes }
}

function isText(bytes: Uint8Array): boolean {
  return bytes.every((byte) => (byte >= 0x20 && byte < 0x7f) || byte === 9 || byte === 10 || byte === 13)
}

/** Where the last partition ends, from GPT (UEFI 2.10, 5.3.2) or else MBR. 0 without a partition table. */
function endOfPartitions(start: Uint8Array): number {
  const view = new DataView(start.buffer, start.byteOffset, start.byteLength)
  if (start.length < 2 * sectorBytes || view.getUint16(510) !== 0x55_aa) return 0
  const hasGpt = ascii('EFI PART').every((byte, index) => start[sectorBytes + index] === byte)
  // The backup header is in the disk's last sector.
  if (hasGpt) return (Number(view.getBigUint64(sectorBytes + 32, true)) + 1) * sectorBytes
  const entries = [0, 1, 2, 3].map((index) => 446 + index * 16)
  // A file system's boot sector has the same signature, with code in place of the table.
  if (!entries.every((at) => view.getUint8(at) === 0 || view.getUint8(at) === 0x80)) return 0
  const ends = entries.map((at) => (view.getUint8(at + 4) === 0 ? 0 : view.getUint32(at + 8, true) + view.getUint32(at + 12, true)))
  return Math.max(...ends) * sectorBytes
}

function refuse(message: string): ImageVerdict {
  return { ok: false, message }
}
