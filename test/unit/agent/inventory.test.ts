import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { stateFiles } from '../../../src/adapters/node/state-files.ts'
import { hasInstance, readInventory } from '../../../src/agent/inventory.ts'
import { type Layout, layout } from '../../../src/api/layout.ts'
import { aUid } from '../../support/branded.ts'

const uid = aUid('11111111-1111-4111-8111-111111111111')
let paths: Layout

beforeEach(() => {
  paths = layout(mkdtempSync(join(tmpdir(), 'swarmvirt-inventory-')))
  mkdirSync(paths.disks(uid), { recursive: true })
  writeFileSync(paths.diskFile(uid, 'root'), 'x')
  const disk = { name: 'root', sizeBytes: 42, imageSource: 'images/x', imageSha256: '0'.repeat(64) }
  const identity = { version: 1, uid, vm: 'web', cluster: 'c', machineType: 'pc-q35-10.0', createdAt: '', disks: [disk] }
  writeFileSync(paths.identityFile(uid), JSON.stringify(identity))
})
afterEach(() => rmSync(paths.root, { recursive: true }))

const disksOf = async () => (await readInventory(paths, stateFiles(), { uids: async () => [] }))[0]?.disks.map(({ name }) => name)

describe('an inventory of directories that runners write to', () => {
  it('is given whatever names a runner left there', async () => {
    // Each byte that is not UTF-8 becomes three bytes when it is read, and stat fails for a path over 255 bytes.
    writeFileSync(Buffer.concat([Buffer.from(`${paths.disks(uid)}/`), Buffer.alloc(200, 0xff), Buffer.from('.qcow2')]), '')
    writeFileSync(`${paths.disks(uid)}/Not a disk's name.qcow2`, '')
    expect(await disksOf()).toEqual(['root'])
  })

  it('says from which image a disk was made, and nothing of a file that a runner put beside it', async () => {
    writeFileSync(paths.diskFile(uid, 'other'), '')
    const [record] = await readInventory(paths, stateFiles(), { uids: async () => [] })
    const image = { source: 'images/x', sha256: '0'.repeat(64) }
    expect(record?.disks.map((one) => [one.name, one.image])).toEqual([
      ['root', image],
      ['other', undefined],
    ])
  })

  it('shows the disks that were made, however many files lie beside them', async () => {
    for (let index = 0; index < 2_000; index += 1) writeFileSync(paths.diskFile(uid, `a${index}`), '')
    expect(await disksOf()).toContain('root')
  })
})

describe('whether this node has a VM', () => {
  it('is not known where the directory of all instances is missing', async () => {
    expect(await hasInstance(paths, stateFiles(), uid)).toBe(true)
    rmSync(paths.instance(uid), { recursive: true })
    expect(await hasInstance(paths, stateFiles(), uid)).toBe(false)
    rmSync(paths.instances, { recursive: true })
    await expect(hasInstance(paths, stateFiles(), uid)).rejects.toThrow('mount the state root')
  })
})

describe('an interrupted preparation', () => {
  const record = async () => (await readInventory(paths, stateFiles(), { uids: async () => [] }))[0]

  it('has the owner that its draft names, and is unfinished', async () => {
    expect(await record()).toMatchObject({ vm: 'web' })
    expect((await record())?.unfinished).toBeUndefined()
    renameSync(paths.identityFile(uid), paths.identityDraft(uid))
    expect(await record()).toMatchObject({ vm: 'web', cluster: 'c', unfinished: true, disks: [{ name: 'root' }] })
  })

  it('does not name the owner of a directory with an invalid identity', async () => {
    renameSync(paths.identityFile(uid), paths.identityDraft(uid))
    writeFileSync(paths.identityFile(uid), '{')
    expect(await record()).toMatchObject({ vm: null, disks: [{ name: 'root' }] })
  })
})
