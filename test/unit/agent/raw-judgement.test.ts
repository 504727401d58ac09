import { describe, expect, it, test } from 'vitest'
import { judgeRaw } from '../../../src/agent/raw-judgement.ts'

const mebibyte = 1024 ** 2
const sectors = (mebibytes: number): number => (mebibytes * mebibyte) / 512

/** The first 64 KiB of a raw image; bytes that no boot code has stand in the rest. */
function aStart(write: (bytes: Buffer) => void = () => undefined): Buffer {
  const bytes = Buffer.alloc(65_536)
  bytes.fill(0x90, 0, 440)
  write(bytes)
  return bytes
}

function withMbr(partition: { status?: number; type?: number; first?: number; count: number }): Buffer {
  return aStart((bytes) => {
    bytes.writeUInt16BE(0x55_aa, 510)
    bytes.writeUInt8(partition.status ?? 0x80, 446)
    bytes.writeUInt8(partition.type ?? 0x83, 446 + 4)
    bytes.writeUInt32LE(partition.first ?? 2048, 446 + 8)
    bytes.writeUInt32LE(partition.count, 446 + 12)
  })
}

function withGpt(lastSector: number): Buffer {
  const start = withMbr({ type: 0xee, first: 1, count: 0xff_ff_ff_ff, status: 0 })
  start.write('EFI PART', 512, 'ascii')
  start.writeBigUInt64LE(BigInt(lastSector), 512 + 32)
  return start
}

describe('a raw image', () => {
  test.each([
    ['without a partition table', aStart()],
    ['of zeros', Buffer.alloc(65_536)],
    ['with an MBR', withMbr({ count: sectors(8) - 2048 })],
    ['with a GPT', withGpt(sectors(8) - 1)],
    ['with a file system’s boot sector, which has code in the place of a table', withMbr({ status: 0x41, count: 0xff_ff_ff_ff })],
  ])('is taken %s, with the size of its file', (_what, start) => {
    expect(judgeRaw(start, 8 * mebibyte)).toEqual({ ok: true, virtualSizeBytes: 8 * mebibyte })
  })

  test.each([
    ['whose last MBR partition is not there', withMbr({ count: sectors(8) - 2047 }), 'needs 8.0 MiB'],
    ['whose second GPT is not there', withGpt(sectors(16) - 1), 'needs 16 MiB'],
  ])('is refused as cut off %s', (_what, start, message) => {
    expect(judgeRaw(start, 8 * mebibyte)).toEqual({ ok: false, message: expect.stringContaining(message) })
  })

  test.each([
    ['gzip', aStart((bytes) => bytes.writeUInt16BE(0x1f_8b, 0)), 'gzip'],
    ['xz', aStart((bytes) => bytes.write('\xfd7zXZ\0', 0, 'latin1')), 'xz'],
    ['a tar archive', aStart((bytes) => bytes.write('ustar', 257, 'latin1')), 'tar'],
    ['a VMDK', aStart((bytes) => bytes.write('KDMV', 0, 'latin1')), 'qemu-img convert'],
    ['a VDI', aStart((bytes) => bytes.writeUInt32BE(0x7f_10_da_be, 64)), 'qemu-img convert'],
    ['a VHDX', aStart((bytes) => bytes.write('vhdxfile', 0, 'latin1')), 'qemu-img convert'],
    ['an encrypted volume', aStart((bytes) => bytes.write('LUKS\xba\xbe', 0, 'latin1')), 'decrypt'],
    ['a web page', Buffer.alloc(65_536, '<!DOCTYPE html>\n'), 'text'],
  ])('is not what is in fact %s', (_what, start, message) => {
    expect(judgeRaw(start, 8 * mebibyte)).toEqual({ ok: false, message: expect.stringContaining(message) })
  })

  it('has whole sectors', () => {
    expect(judgeRaw(aStart(), 8 * mebibyte + 511)).toEqual({ ok: false, message: expect.stringContaining('multiple of 512') })
    expect(judgeRaw(Buffer.alloc(0), 0)).toEqual({ ok: false, message: 'it is empty' })
  })

  it('that is shorter than the checked part is judged by what it has', () => {
    expect(judgeRaw(aStart().subarray(0, 512), 512)).toMatchObject({ ok: true })
  })
})
