import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { stateFiles } from '../../../src/adapters/node/state-files.ts'

const files = stateFiles()
let dir: string

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'swarmvirt-state-'))
})
afterEach(() => rmSync(dir, { recursive: true }))

describe('writing below a state root', () => {
  it('leaves nothing behind where a file cannot be replaced', async () => {
    mkdirSync(join(dir, 'taken'))
    await expect(files.writeAtomically(join(dir, 'taken'), 'text', 0o640)).rejects.toThrow('taken')
    expect(readdirSync(dir)).toEqual(['taken'])
  })

  it('never gives a new mode to what a link in the place of a new file leads to', async () => {
    writeFileSync(join(dir, 'other'), '', { mode: 0o400 })
    symlinkSync(join(dir, 'other'), join(dir, 'new'))
    await expect(files.publish(join(dir, 'new'), join(dir, 'disk'), 0o660)).rejects.toThrow('symbolic link')
    expect(statSync(join(dir, 'other')).mode & 0o777).toBe(0o400)
  })

  it('never lets the group write into a new directory, not even before it has its mode', async () => {
    const seen = new Set<number>()
    const path = join(dir, 'new')
    // fsync is slow and mkdir is not: what the directory is like between the two shows up in some round.
    const before = process.umask(0o007)
    try {
      for (let round = 0; round < 50; round += 1) {
        const made = files.makeDirectory(path, 0o2700)
        for (let look = 0; look < 2_000; look += 1) {
          const stats = statSync(path, { throwIfNoEntry: false })
          if (stats !== undefined) seen.add(stats.mode & 0o020)
        }
        await made
        rmSync(path, { recursive: true })
      }
    } finally {
      process.umask(before)
    }
    expect([...seen]).toEqual([0])
  })

  it('lists at most the requested number of names, and reports a missing directory as missing', async () => {
    for (const name of ['a', 'b', 'c']) writeFileSync(join(dir, name), '')
    expect(await files.list(dir)).toEqual(['a', 'b', 'c'])
    expect(await files.list(dir, 2)).toHaveLength(2)
    expect(await files.list(join(dir, 'missing'), 2)).toBeUndefined()
  })
})

it('says of a text whether it could not be read or is none', async () => {
  const path = join(dir, 'text')
  for (const content of ['too long', Buffer.from([0xff, 0xfe])]) {
    writeFileSync(path, content)
    await expect(files.readText(path, 4)).rejects.toMatchObject({ name: 'StateError', kind: 'Content' })
  }
  await expect(files.readText(dir, 4)).rejects.toMatchObject({ name: 'StateError', kind: 'Io' })
})
