import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { qemuImg } from '../../../src/adapters/node/qemu-img.ts'

let directory: string
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'sv-'))
})
afterAll(() => rmSync(directory, { recursive: true }))

/** A qemu-img that says this and ends. */
function ending(code: number, words: string) {
  const program = join(directory, 'qemu-img')
  writeFileSync(program, `#!/bin/sh\necho "${words}" >&2\nexit ${code}\n`)
  chmodSync(program, 0o755)
  return qemuImg({ program })
}

describe('what qemu-img ends with', () => {
  it.each([
    [1, "qemu-img: Could not open 'x': Input/output error"],
    [1, "qemu-img: Could not open 'x': Cannot allocate memory"],
    [1, "qemu-img: Could not open 'x': Permission denied"],
    [1, "qemu-img: Could not open 'x': Too many open files"],
    [127, 'qemu-img: error while loading shared libraries: libnuma.so.1'],
    [126, 'prlimit: failed to execute qemu-img: Permission denied'],
  ])('is a fault of the node: %i, %s', async (code, words) => {
    const tool = ending(code, words)
    await expect(tool.info('x')).rejects.toMatchObject({ kind: 'Unavailable', message: expect.stringContaining(words) })
    await expect(tool.check('x')).rejects.toMatchObject({ kind: 'Unavailable' })
  })

  it.each([
    [1, "qemu-img: Could not open 'x': Unsupported cluster size: 2^0"],
    [2, 'ERROR cluster 5 refcount=0 reference=1'],
  ])('is a fault of the image: %i, %s', async (code, words) => {
    await expect(ending(code, words).check('x')).rejects.toMatchObject({ kind: 'Invalid', message: words })
  })

  it('is none where clusters leak', async () => {
    await expect(ending(3, 'Leaked cluster 5 refcount=1 reference=0').check('x')).resolves.toBeUndefined()
  })

  it('is a fault of the node where it is not there', async () => {
    await expect(qemuImg({ program: join(directory, 'none') }).info('x')).rejects.toMatchObject({ kind: 'Unavailable' })
  })
})
