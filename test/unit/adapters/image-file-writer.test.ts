import { createHash, randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { writeImage } from '../../../src/adapters/node/image-file-writer.ts'

let directory: string
beforeEach(() => (directory = mkdtempSync(join(tmpdir(), 'swarmvirt-write-'))))
afterEach(() => rmSync(directory, { recursive: true }))

async function write(chunks: readonly Buffer[], limits: { maxBytes?: number; maxFileBytes?: number; total?: number } = {}) {
  const path = join(directory, 'image')
  async function* all(): AsyncGenerator<Buffer> {
    yield* chunks
  }
  const { maxBytes = 2 ** 40, maxFileBytes = 2 ** 44, total } = limits
  const signal = new AbortController().signal
  const written = await writeImage(path, all(), { maxBytes, maxFileBytes, total, signal, onProgress: () => undefined })
  return { ...written, path }
}

test('Content is written byte for byte and hashed in full, however it is cut and wherever its zeros are', async () => {
  const content = Buffer.concat([
    randomBytes(5_000),
    Buffer.alloc(20_000),
    randomBytes(3),
    Buffer.alloc(70_000),
    randomBytes(1),
    Buffer.alloc(9_999),
  ])
  for (const size of [1, 4095, 4096, 4097, 65_536, content.length]) {
    const chunks = Array.from({ length: Math.ceil(content.length / size) }, (_, index) =>
      content.subarray(index * size, (index + 1) * size),
    )
    const { path, sha256, bytes, start } = await write(chunks)
    expect(readFileSync(path).equals(content), `in pieces of ${size}`).toBe(true)
    expect({ sha256, bytes, start: [...start] }).toEqual({
      sha256: createHash('sha256').update(content).digest('hex'),
      bytes: content.length,
      start: [...content.subarray(0, 64)],
    })
    rmSync(path)
  }
})

test('Blocks of zeros take no room, and do not count against it', async () => {
  const mebibyte = Buffer.alloc(1024 ** 2)
  const { path } = await write([randomBytes(4096), ...Array.from({ length: 32 }, () => mebibyte)], { maxBytes: 4096 })
  expect(statSync(path).size).toBe(32 * 1024 ** 2 + 4096)
  expect(statSync(path).blocks * 512).toBeLessThan(256 * 1024)
})

test.each([
  ['more data than there is room for', [randomBytes(8192)], { maxBytes: 8191 }],
  ['zeros without an end', [Buffer.alloc(8192), Buffer.alloc(8192)], { maxFileBytes: 16_383 }],
  ['a qcow2 image that is announced as too large', [Buffer.from('QFI\xfb', 'latin1')], { total: 10_000, maxBytes: 9_999 }],
] as const)('%s is refused, and nothing is left', async (_what, chunks, limits) => {
  await expect(write(chunks, limits)).rejects.toMatchObject({ failure: 'TooLarge' })
  expect(existsSync(join(directory, 'image'))).toBe(false)
})
