import { expect, test } from 'vitest'
import { imageFormat, judgeImageHeader } from '../../../src/agent/image-judgement.ts'

const incompatible = { corrupt: 1n << 1n, dataFile: 1n << 2n, compression: 1n << 3n, unknown: 1n << 40n }

/** A qcow2 header: by default version 3, 8 MiB, without a backing file. */
function aHeader(change: (view: DataView) => void = () => undefined, extensions: readonly number[] = []): Uint8Array {
  const bytes = new Uint8Array(65_536)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, 0x51_46_49_fb)
  view.setUint32(4, 3)
  view.setUint32(20, 16)
  view.setBigUint64(24, 8n * 1024n ** 2n)
  view.setUint32(100, 104)
  extensions.forEach((type, index) => {
    view.setUint32(104 + index * 16, type)
    view.setUint32(104 + index * 16 + 4, 5)
  })
  change(view)
  return bytes
}

test('An image that stands alone is taken, with the size it holds', () => {
  expect(judgeImageHeader(aHeader(undefined, [0x68_03_f8_57]))).toEqual({ ok: true, virtualSizeBytes: 8 * 1024 ** 2 })
  expect(judgeImageHeader(aHeader((view) => view.setBigUint64(72, incompatible.compression)))).toMatchObject({ ok: true })
  expect(judgeImageHeader(aHeader((view) => view.setUint32(4, 2)).subarray(0, 200))).toMatchObject({ ok: true })
})

test('An image is qcow2 where it begins like one, however little of it is there, and raw otherwise', () => {
  expect(imageFormat(aHeader())).toBe('qcow2')
  expect(imageFormat(aHeader().subarray(0, 4))).toBe('qcow2')
  expect(imageFormat(aHeader().subarray(0, 3))).toBe('raw')
  expect(imageFormat(new Uint8Array(65_536))).toBe('raw')
  expect(imageFormat(new Uint8Array(0))).toBe('raw')
})

test.each([
  ['ends early', aHeader().subarray(0, 80), 'ends within'],
  ['is of another version', aHeader((view) => view.setUint32(4, 4)), 'version 4'],
  ['has a backing file', aHeader((view) => view.setBigUint64(8, 512n)), 'backing file'],
  ['has a backing file of version 2', aHeader((view) => (view.setUint32(4, 2), view.setUint32(16, 11))), 'backing file'],
  ['keeps its data elsewhere', aHeader((view) => view.setBigUint64(72, incompatible.dataFile)), 'another file'],
  ['names a data file', aHeader(undefined, [0x68_03_f8_57, 0x44_41_54_41]), 'external data file'],
  ['names a backing format', aHeader(undefined, [0xe2_79_2a_ca]), 'backing file'],
  ['is encrypted', aHeader((view) => view.setUint32(32, 2)), 'encrypted'],
  ['has internal snapshots', aHeader((view) => view.setUint32(60, 1)), 'internal snapshots'],
  ['has dirty bitmaps', aHeader(undefined, [0x23_85_28_75]), 'dirty bitmaps'],
  ['is corrupt', aHeader((view) => view.setBigUint64(72, incompatible.corrupt)), 'qemu-img check'],
  ['uses unsupported features', aHeader((view) => view.setBigUint64(72, incompatible.unknown)), 'unsupported features'],
  ['has extensions without an end', aHeader((view) => (view.setUint32(104, 1), view.setUint32(108, 0xff_ff_ff_ff))), 'does not end'],
  ['starts its extensions far away', aHeader((view) => view.setUint32(100, 0xff_ff_ff_ff)), 'does not end'],
  ['holds nothing', aHeader((view) => view.setBigUint64(24, 0n)), '0 bytes'],
])('An image that %s is refused', (_what, bytes, message) => {
  expect(judgeImageHeader(bytes)).toMatchObject({ ok: false, message: expect.stringContaining(message) })
})
