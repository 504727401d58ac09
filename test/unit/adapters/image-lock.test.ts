import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { imageLocks } from '../../../src/adapters/linux/image-lock.ts'
import { loadLibc } from '../../../src/adapters/linux/libc.ts'
import { type Layout, layout } from '../../../src/api/layout.ts'
import { aUid } from '../../support/branded.ts'

const uid = aUid('11111111-1111-4111-8111-111111111111')
let paths: Layout

beforeEach(() => {
  paths = layout(mkdtempSync(join(tmpdir(), 'swarmvirt-locks-')))
  mkdirSync(paths.disks(uid), { recursive: true })
  writeFileSync(paths.diskFile(uid, 'root'), '')
})
afterEach(() => rmSync(paths.root, { recursive: true }))

describe('looking whether a QEMU has a disk open', () => {
  it('finds nothing where nobody has', async () => {
    expect(await imageLocks(loadLibc(), paths).locked(uid)).toBeUndefined()
  })

  it('treats a VM without a directory as one without disks, and a missing state root as an error', async () => {
    rmSync(paths.instance(uid), { recursive: true })
    expect(await imageLocks(loadLibc(), paths).locked(uid)).toBeUndefined()
    rmSync(paths.instances, { recursive: true })
    expect(await imageLocks(loadLibc(), paths).locked(uid)).toContain('mount the state root')
  })

  it('checks a limited number of files, and treats a directory with more as in use', async () => {
    for (let index = 0; index < 300; index += 1) writeFileSync(`${paths.disks(uid)}/junk${index}`, '')
    expect(await imageLocks(loadLibc(), paths).locked(uid)).toContain('more than')
  })
})
