import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { diskClaims } from '../../../src/adapters/linux/disk-claims.ts'
import { loadLibc } from '../../../src/adapters/linux/libc.ts'
import { stateFiles } from '../../../src/adapters/node/state-files.ts'
import { deleteDisks } from '../../../src/agent/delete-disks.ts'
import type { DiskUse } from '../../../src/agent/disk-use.ts'
import { type Layout, layout } from '../../../src/api/layout.ts'
import type { DeleteDisksOrder, DeletionStatus } from '../../../src/api/wire/delete-disks.ts'
import type { DiskClaims } from '../../../src/ports/disk-claims.ts'
import { StateError, type StateFiles } from '../../../src/ports/state-files.ts'
import { aUid, aVmName } from '../../support/branded.ts'
import type { VmUid } from '../../../src/api/names.ts'

const uid = aUid('11111111-1111-4111-8111-111111111111')
const other = aUid('22222222-2222-4222-8222-222222222222')
const sha = 'a'.repeat(64)
const order: DeleteDisksOrder = { version: 1, uid, vm: aVmName('web'), cluster: 'lab' }
const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined }

let paths: Layout
let use: DiskUse
/** Disks that a process has open. */
let open: Set<string>
let claimed: number

const claims: DiskClaims = {
  async claim(path) {
    if (open.has(path)) return { kind: 'inUse' }
    claimed += 1
    return { kind: 'claimed', release: async () => void (claimed -= 1) }
  },
}

/** An instance as preparing, a runner and an interrupted replacement leave it. */
function instance(of: VmUid, identity: object | string = { uid: of, vm: 'web', cluster: 'lab' }): void {
  for (const directory of [paths.instance(of), paths.instanceImages(of), paths.disks(of), paths.run(of)]) mkdirSync(directory)
  const disks = [{ name: 'root', sizeBytes: 1, imageSource: 'images/a', imageSha256: sha }]
  const whole = { version: 1, machineType: 'pc-q35-10.0', createdAt: '2026-01-01T00:00:00Z', disks, ...(identity as object) }
  writeFileSync(paths.identityFile(of), typeof identity === 'string' ? identity : JSON.stringify(whole))
  writeFileSync(paths.addressesFile(of), '{}')
  writeFileSync(paths.nicSlotsFile(of), '{}')
  writeFileSync(paths.diskFile(of, 'root'), 'data')
  writeFileSync(paths.diskFile(of, 'of-the-guest'), 'data')
  writeFileSync(`${paths.disks(of)}/.root.next-${other}`, 'half')
  writeFileSync(`${paths.instanceImages(of)}/${sha}`, 'image')
  writeFileSync(paths.serialLog(of), 'log')
}

beforeEach(() => {
  paths = layout(mkdtempSync(join(tmpdir(), 'swarmvirt-delete-')))
  for (const directory of [paths.store, paths.instances, paths.images]) mkdirSync(directory)
  writeFileSync(paths.storedImage(sha), 'image')
  writeFileSync(paths.layoutFile, '{"version": 1}')
  use = { kind: 'off' }
  open = new Set()
  claimed = 0
})
afterEach(() => rmSync(paths.root, { recursive: true }))

const carryOut = (files: StateFiles = stateFiles(), locks = claims): Promise<DeletionStatus> =>
  deleteDisks({ layout: paths, files, claims: locks, useOf: async () => use, log: silent }, order)
const isWhole = (of = uid): boolean => existsSync(paths.diskFile(of, 'root')) && existsSync(paths.identityFile(of))

describe('the disks of a VM whose manifest said Delete', () => {
  test('go with everything that is kept with them, and nothing else goes', async () => {
    instance(uid)
    instance(other, { uid: other, vm: 'db', cluster: 'lab' })
    expect(await carryOut(stateFiles(), diskClaims(loadLibc()))).toEqual({ state: 'gone' })
    expect(readdirSync(paths.instances)).toEqual([other])
    expect([isWhole(other), readFileSync(paths.storedImage(sha), 'utf8'), claimed]).toEqual([true, 'image', 0])
    expect(await carryOut()).toEqual({ state: 'gone' })
  })

  test('go with the draft of an interrupted preparation, which names their owner too', async () => {
    instance(uid)
    renameSync(paths.identityFile(uid), paths.identityDraft(uid))
    expect(await carryOut()).toEqual({ state: 'gone' })
    expect(existsSync(paths.instance(uid))).toBe(false)
  })

  test.each<[string, object]>([
    ['another VM', { uid, vm: 'db', cluster: 'lab' }],
    ['another cluster', { uid, vm: 'web', cluster: 'there' }],
    ['another uid', { uid: other, vm: 'web', cluster: 'lab' }],
  ])('stay where the identity beside them is that of %s', async (_whose, identity) => {
    instance(uid, identity)
    expect(await carryOut()).toMatchObject({ state: 'failed', reason: 'IdentityMismatch' })
    expect(isWhole()).toBe(true)
  })

  test('stay where nobody can read whose they are', async () => {
    instance(uid, 'not json')
    expect(await carryOut()).toMatchObject({ state: 'failed', reason: 'IdentityUnreadable' })
    rmSync(paths.identityFile(uid))
    expect(await carryOut()).toMatchObject({ state: 'failed', reason: 'IdentityUnreadable' })
    expect(existsSync(paths.diskFile(uid, 'root'))).toBe(true)
  })

  test.each<[DiskUse, string]>([
    [{ kind: 'on', message: 'a runner holds its lease' }, 'DiskInUse'],
    [{ kind: 'unknown', message: 'the broker is away' }, 'BrokerUnavailable'],
  ])('wait while the VM may be on: %o', async (now, reason) => {
    instance(uid)
    use = now
    expect(await carryOut()).toMatchObject({ state: 'waiting', reason })
    expect(isWhole()).toBe(true)
  })

  test('wait, all of them, while a process has one of them open', async () => {
    instance(uid)
    open.add(paths.diskFile(uid, 'root'))
    expect(await carryOut()).toMatchObject({ state: 'waiting', reason: 'DiskInUse' })
    expect([readdirSync(paths.disks(uid)).length, isWhole(), claimed]).toEqual([3, true, 0])
  })

  test('are deleted in the end, whenever the agent is killed, and the identity is never removed before its disks', async () => {
    for (let survives = 0; ; survives += 1) {
      instance(uid)
      let left = survives
      const dying = async (run: () => Promise<void>): Promise<void> => {
        left -= 1
        if (left < 0) throw new StateError('Io', 'killed')
        await run()
      }
      const real = stateFiles()
      const files: StateFiles = {
        ...real,
        remove: (path) => dying(() => real.remove(path)),
        removeEmptyDirectory: (path) => dying(() => real.removeEmptyDirectory(path)),
      }
      const status = await carryOut(files).catch((error: unknown) => error)
      if (existsSync(paths.diskFile(uid, 'root'))) expect(existsSync(paths.identityFile(uid))).toBe(true)
      expect(await carryOut()).toEqual({ state: 'gone' })
      expect([readdirSync(paths.instances), claimed]).toEqual([[], 0])
      if (!(status instanceof StateError)) return expect(survives).toBeGreaterThan(8)
    }
  })

  test.each<[string, () => void]>([
    ['the directory of all instances is missing', () => rmSync(paths.instances, { recursive: true })],
    [
      'the state root is an empty mount point',
      () => [paths.instances, paths.layoutFile].forEach((path) => rmSync(path, { recursive: true })),
    ],
  ])('are not taken for gone where %s', async (_what, unmount) => {
    unmount()
    const status = await carryOut().catch((error: unknown) => error)
    expect(status).not.toEqual({ state: 'gone' })
    expect(status instanceof StateError || (status as DeletionStatus).state === 'failed').toBe(true)
  })

  test('go although a runner that still lives makes new files all the time, and no disk is left that nobody can name', async () => {
    instance(uid)
    const real = stateFiles()
    let files = 0
    const hostile = (): void => {
      // The writes of a runner: its directories are open to the shared group, and once they are not, it can do nothing.
      for (const directory of [paths.disks(uid), paths.run(uid)])
        if (existsSync(directory) && (statSync(directory).mode & 0o020) !== 0) writeFileSync(join(directory, `n${++files}.qcow2`), '')
    }
    const watched: StateFiles = {
      ...real,
      remove: async (path) => {
        hostile()
        await real.remove(path)
        hostile()
      },
    }
    for (const directory of [paths.disks(uid), paths.run(uid)]) chmodSync(directory, 0o2770)
    expect(await carryOut(watched)).toEqual({ state: 'gone' })
    expect(readdirSync(paths.instances)).toEqual([])
  })

  test('leave what swarmvirt did not make, and no link is followed', async () => {
    instance(uid)
    const mine = join(paths.root, 'images', 'mine')
    writeFileSync(mine, 'mine')
    symlinkSync(mine, paths.diskFile(uid, 'linked'))
    mkdirSync(join(paths.run(uid), 'kept'))
    expect(await carryOut(stateFiles(), diskClaims(loadLibc()))).toEqual({ state: 'gone' })
    expect(readFileSync(mine, 'utf8')).toBe('mine')
    expect([readdirSync(paths.instance(uid)), readdirSync(paths.run(uid))]).toEqual([['run'], ['kept']])
    expect(await carryOut()).toEqual({ state: 'gone' })
  })
})
