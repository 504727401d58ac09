import { execFileSync } from 'node:child_process'
import { closeSync, constants, mkdirSync, mkdtempSync, openSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest'
import { diskClaims } from '../../../src/adapters/linux/disk-claims.ts'
import { loadLibc } from '../../../src/adapters/linux/libc.ts'

const claims = diskClaims(loadLibc())
let dir: string
let disk: string

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'swarmvirt-claims-'))
  disk = join(dir, 'root.qcow2')
  writeFileSync(disk, 'data')
})
afterEach(() => rmSync(dir, { recursive: true }))

/** Claims it and gives the claim back. */
async function kindOf(path: string): Promise<string> {
  const claim = await claims.claim(path)
  if (claim.kind === 'claimed') await claim.release()
  return claim.kind
}

describe('claiming a disk', () => {
  test.each([
    ['to read', constants.O_RDONLY],
    ['to write', constants.O_RDWR],
  ])('fails while a process has it open %s, although that process holds no lock', async (_how, flags) => {
    const open = openSync(disk, flags)
    expect(await kindOf(disk)).toBe('inUse')
    closeSync(open)
    expect(await kindOf(disk)).toBe('claimed')
  })

  it('keeps a second claim off until it is released, and nobody from opening the file', async () => {
    const held = await claims.claim(disk)
    expect(await kindOf(disk)).toBe('inUse')
    closeSync(openSync(disk, constants.O_RDWR | constants.O_NONBLOCK))
    if (held.kind === 'claimed') await held.release()
    expect(await kindOf(disk)).toBe('claimed')
  })

  it('neither follows a link nor waits for a FIFO, and ignores anything that is not a file', async () => {
    const open = openSync(disk, constants.O_RDWR)
    symlinkSync(disk, join(dir, 'link'))
    execFileSync('mkfifo', [join(dir, 'fifo')])
    mkdirSync(join(dir, 'directory'))
    for (const name of ['link', 'fifo', 'directory', 'missing']) expect([name, await kindOf(join(dir, name))]).toEqual([name, 'claimed'])
    closeSync(open)
  })
})
