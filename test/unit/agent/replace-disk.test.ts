import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { diskClaims } from '../../../src/adapters/linux/disk-claims.ts'
import { loadLibc } from '../../../src/adapters/linux/libc.ts'
import { stateFiles } from '../../../src/adapters/node/state-files.ts'
import type { DiskUse } from '../../../src/agent/disk-use.ts'
import { preparer } from '../../../src/agent/preparer.ts'
import { type Layout, layout } from '../../../src/api/layout.ts'
import type { PrepareOrder, PrepareStatus } from '../../../src/api/wire/agent-api.ts'
import { identity as identitySchema } from '../../../src/api/wire/identity.ts'
import type { DiskClaims } from '../../../src/ports/disk-claims.ts'
import { StateError, type StateFiles } from '../../../src/ports/state-files.ts'
import { aUid, aVmName } from '../../support/branded.ts'

const uid = aUid('11111111-1111-4111-8111-111111111111')
const shas: Record<string, string> = { 'images/a': 'a'.repeat(64), 'images/b': 'b'.repeat(64) }
const mebibyte = 1024 ** 2
const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined }

let paths: Layout
let use: DiskUse
let uuids = 0

beforeEach(() => {
  paths = layout(mkdtempSync(join(tmpdir(), 'swarmvirt-replace-')))
  for (const directory of [paths.store, paths.instances]) mkdirSync(directory)
  writeFileSync(paths.layoutFile, '{"version": 1}')
  for (const sha256 of Object.values(shas)) writeFileSync(paths.storedImage(sha256), sha256)
  use = { kind: 'off' }
})
afterEach(() => rmSync(paths.root, { recursive: true }))

type Prepared = Exclude<PrepareStatus, { state: 'ready' }> | undefined

/** An agent's preparing on real files; `files` and `claims` may be ones that fail. */
function prepare(order: PrepareOrder, files: StateFiles = stateFiles(), claims: DiskClaims = diskClaims(loadLibc())): Promise<Prepared> {
  const run = preparer({
    layout: paths,
    files,
    claims,
    images: {
      resolve: async ({ source }) => ({
        kind: 'stored',
        image: { sha256: shas[source] ?? '', format: 'qcow2', virtualSizeBytes: mebibyte },
      }),
    },
    tool: {
      info: () => Promise.reject(new Error('not requested')),
      check: () => Promise.reject(new Error('not requested')),
      createDisk: async (path, backing, sizeBytes) => writeFileSync(path, `${backing?.path ?? 'blank'} ${sizeBytes}`, { flag: 'wx' }),
    },
    useOf: async () => use,
    clock: { now: () => 0, elapsed: () => 0, after: () => () => undefined },
    random: { uuid: () => aUid(`00000000-0000-4000-8000-${String(++uuids).padStart(12, '0')}`), next: () => 0.5 },
    log: silent,
    signal: new AbortController().signal,
  })
  return run(order)
}

function anOrder(disk: { name?: string; source?: string; sizeMiB?: number } = {}, change: Partial<PrepareOrder> = {}): PrepareOrder {
  const { name = 'root', source = 'images/a', sizeMiB = 16 } = disk
  return {
    version: 1,
    uid,
    vm: aVmName('web'),
    cluster: 'lab',
    disks: [{ name, sizeBytes: sizeMiB * mebibyte, image: { source, sha256: null } }],
    disksMustExist: true,
    accelerator: 'auto',
    softwareEmulation: true,
    nics: [],
    ...change,
  }
}

/** As a person does: the line of the refusal goes into the manifest. */
function allowing(order: PrepareOrder, refusal: Prepared): PrepareOrder {
  const [, disk = '', token = ''] = /swarmvirt\.dev\/replace-disks: "([^=]+)=([0-9a-f]{16})"/.exec(refusal?.message ?? '') ?? []
  return { ...order, replaceDisks: [{ disk, token }] }
}

async function made(): Promise<void> {
  expect(await prepare(anOrder({}, { disksMustExist: false }))).toBeUndefined()
  writeFileSync(paths.diskFile(uid, 'root'), 'what the guest wrote')
}
const disk = (name = 'root') => readFileSync(paths.diskFile(uid, name), 'utf8')
const identity = () => identitySchema.parse(JSON.parse(readFileSync(paths.identityFile(uid), 'utf8')))
const diskFiles = () => readdirSync(paths.disks(uid)).sort()

describe('a disk that an edit would destroy', () => {
  test.each([
    ['ImageChangeRefused', { source: 'images/b' }, `../images/${shas['images/b']} ${16 * mebibyte}`, 'root'],
    ['DiskResizeUnsupported', { sizeMiB: 8 }, `../images/${shas['images/a']} ${8 * mebibyte}`, 'root'],
    ['DiskRenameRefused', { name: 'main' }, `../images/${shas['images/a']} ${16 * mebibyte}`, 'main'],
  ] as const)('is kept (%s), and replaced once the manifest says the word of the refusal', async (reason, change, content, name) => {
    await made()
    const before = identity()
    const refusal = await prepare(anOrder(change))
    expect(refusal).toMatchObject({ state: 'failed', reason })
    expect([disk(), identity()]).toEqual(['what the guest wrote', before])
    expect(await prepare(allowing(anOrder(change), refusal))).toBeUndefined()
    expect([disk(name), diskFiles()]).toEqual([content, [`${name}.qcow2`]])
    expect(identity()).toMatchObject({ uid, createdAt: before.createdAt, machineType: before.machineType, disks: [{ name }] })
    expect(readdirSync(paths.instance(uid)).sort()).toEqual(['disks', 'identity.json', 'images', 'run'])
    expect(readdirSync(paths.instanceImages(uid))).toEqual([identity().disks[0]?.imageSha256])
  })

  test('is replaced once: the token may stay in the manifest and has no further effect, also when the same edit comes again', async () => {
    await made()
    const toB = anOrder({ source: 'images/b' })
    const word = allowing(toB, await prepare(toB)).replaceDisks ?? []
    expect(await prepare({ ...toB, replaceDisks: word })).toBeUndefined()
    writeFileSync(paths.diskFile(uid, 'root'), 'new data')
    expect(await prepare({ ...toB, replaceDisks: word })).toBeUndefined()
    const toA = anOrder({}, { replaceDisks: word })
    expect(await prepare(allowing(toA, await prepare(toA)))).toBeUndefined()
    writeFileSync(paths.diskFile(uid, 'root'), 'newer data')
    expect(await prepare({ ...toB, replaceDisks: word })).toMatchObject({ state: 'failed', reason: 'ImageChangeRefused' })
    expect(disk()).toBe('newer data')
  })

  test('is kept for a token of another edit, another disk or another VM', async () => {
    await made()
    const allowed = allowing(anOrder({ source: 'images/b' }), await prepare(anOrder({ source: 'images/b' })))
    const replaceDisks = allowed.replaceDisks ?? []
    expect(await prepare(anOrder({ source: 'images/b', sizeMiB: 8 }, { replaceDisks }))).toMatchObject({ state: 'failed' })
    const ofOther = replaceDisks.map((one) => ({ ...one, disk: 'data' }))
    expect(await prepare({ ...allowed, replaceDisks: ofOther })).toMatchObject({ state: 'failed' })
    expect(disk()).toBe('what the guest wrote')
  })

  test('of release 0.1, whose identity knows no making, is replaced as well', async () => {
    await made()
    const old = identity()
    const disks = old.disks.map(({ madeAs: _madeAs, ...rest }) => rest)
    rmSync(paths.identityFile(uid))
    writeFileSync(paths.identityFile(uid), JSON.stringify({ ...old, disks }))
    const order = anOrder({ source: 'images/b' })
    expect(await prepare(allowing(order, await prepare(order)))).toBeUndefined()
    expect(disk()).toContain('../images/bbb')
  })

  test('that is lost is never created again', async () => {
    await made()
    const order = anOrder({ source: 'images/b' })
    const allowed = allowing(order, await prepare(order))
    rmSync(paths.diskFile(uid, 'root'))
    expect(await prepare(allowed)).toMatchObject({ reason: 'DiskMissing' })
    expect(diskFiles()).toEqual([])
  })

  test('does not make way for a file that nobody made', async () => {
    await made()
    const order = anOrder({ name: 'main' })
    const allowed = allowing(order, await prepare(order))
    writeFileSync(paths.diskFile(uid, 'main'), 'a person put it here')
    expect(await prepare(allowed)).toMatchObject({ reason: 'DiskError' })
    expect([disk(), disk('main')]).toEqual(['what the guest wrote', 'a person put it here'])
  })
})

describe('a disk that is added', () => {
  const data = { name: 'data', sizeBytes: 16 * mebibyte }
  const withData = anOrder({}, { disks: [...anOrder().disks, data] })

  test('is created beside those of a VM that is on', async () => {
    await made()
    use = { kind: 'on', message: 'a runner holds its lease' }
    expect(await prepare(withData)).toBeUndefined()
    expect([disk(), disk('data')]).toEqual(['what the guest wrote', `blank ${16 * mebibyte}`])
    expect(identity().disks).toMatchObject([
      { name: 'root', slot: 10 },
      { name: 'data', slot: 11 },
    ])
  })

  test('must fit beside those that may still grow', async () => {
    await made()
    const space = { totalBytes: 64 * mebibyte, freeBytes: 31 * mebibyte }
    const little = { ...stateFiles(), space: async () => space }
    expect(await prepare(withData, little)).toMatchObject({ reason: 'InsufficientDisk', message: expect.stringContaining('needs 16 MiB') })
    expect([diskFiles(), identity().disks.map(({ name }) => name)]).toEqual([['root.qcow2'], ['root']])
    const larger = anOrder({ sizeMiB: 48 })
    expect(await prepare(larger, little)).toMatchObject({ reason: 'InsufficientDisk', message: expect.stringContaining('needs 32 MiB') })
    expect(await prepare(withData, { ...little, space: async () => ({ ...space, freeBytes: 32 * mebibyte }) })).toBeUndefined()
  })
})

describe('a VM that is on', () => {
  async function allowed(): Promise<PrepareOrder> {
    await made()
    const order = anOrder({ source: 'images/b' })
    return allowing(order, await prepare(order))
  }

  test('keeps its disk until it is off', async () => {
    const order = await allowed()
    use = { kind: 'on', message: 'a runner holds its lease' }
    expect(await prepare(order)).toMatchObject({
      state: 'failed',
      reason: 'DiskInUse',
      message: expect.stringContaining('runStrategy: Halted'),
    })
    use = { kind: 'unknown', message: 'the broker is away' }
    expect(await prepare(order)).toMatchObject({ state: 'preparing', reason: 'BrokerUnavailable' })
    expect(disk()).toBe('what the guest wrote')
    use = { kind: 'off' }
    expect(await prepare(order)).toBeUndefined()
  })

  test('keeps its disk when nobody but the disk itself knows that a QEMU has it open', async () => {
    const order = await allowed()
    const held = await diskClaims(loadLibc()).claim(paths.diskFile(uid, 'root'))
    expect(held.kind).toBe('claimed')
    expect(await prepare(order)).toMatchObject({ reason: 'DiskInUse', message: expect.stringContaining('open') })
    expect([disk(), diskFiles()]).toEqual(['what the guest wrote', ['root.qcow2']])
    if (held.kind === 'claimed') await held.release()
    expect(await prepare(order)).toBeUndefined()
  })

  test('cannot open its disk while that is being replaced', async () => {
    const order = await allowed()
    const files = stateFiles()
    const opened: string[] = []
    const look: StateFiles = {
      ...files,
      replace: async (from, path) => {
        opened.push((await diskClaims(loadLibc()).claim(paths.diskFile(uid, 'root'))).kind)
        await files.replace(from, path)
      },
    }
    expect(await prepare(order, look)).toBeUndefined()
    expect(opened).toEqual(['inUse'])
  })
})

describe('a kill in the middle of a replacement', () => {
  const changing = ['writeAtomically', 'publish', 'seal', 'replace', 'link', 'remove', 'makeDirectory'] as const

  /** Files of an agent that dies before its nth write, or right after it. */
  function dyingAt(n: number, when: 'before' | 'after'): StateFiles & { readonly writes: () => number } {
    const files = stateFiles() as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>
    let writes = 0
    const wrapped = changing.map((name) => [
      name,
      async (...args: unknown[]) => {
        writes += 1
        const dies = writes >= n
        if (dies && when === 'before') throw new StateError('Io', 'killed')
        const result = await files[name]?.(...args)
        if (dies) throw new StateError('Io', 'killed')
        return result
      },
    ])
    return { ...(files as unknown as StateFiles), ...Object.fromEntries(wrapped), writes: () => writes }
  }

  const edits = [{ source: 'images/b' }, { name: 'main' }]
  for (const edit of edits) {
    for (const when of ['before', 'after'] as const) {
      test(`leaves the old disk or the new one, and the next order makes it good (${Object.keys(edit)[0]}, ${when} each write)`, async () => {
        const order = anOrder(edit)
        const name = order.disks[0]?.name ?? ''
        const seen = new Set<string>()
        for (let n = 1; ; n += 1) {
          rmSync(paths.instance(uid), { recursive: true, force: true })
          await made()
          const allowed = allowing(order, await prepare(order))
          const files = dyingAt(n, when)
          const outcome = await prepare(allowed, files)
          if (outcome === undefined) break
          const left = existsSync(paths.diskFile(uid, name)) && disk(name) !== 'what the guest wrote' ? 'new' : 'old'
          seen.add(left)
          if (left === 'old') expect(disk(), `write ${n}`).toBe('what the guest wrote')
          else expect(disk(name), `write ${n}`).toContain('../images/')
          // Without the word only what was begun is made good.
          await prepare(order)
          if (left === 'old') expect([disk(), identity().disks[0]?.imageSource]).toEqual(['what the guest wrote', 'images/a'])
          else expect([identity().disks[0]?.name, identity().disks[0]?.imageSource]).toEqual([name, order.disks[0]?.image?.source])
          expect(await prepare(allowed), `write ${n}`).toBeUndefined()
          expect(diskFiles()).toEqual([`${name}.qcow2`])
          expect(readdirSync(paths.instance(uid)).sort()).toEqual(['disks', 'identity.json', 'images', 'run'])
          expect(identity().disks).toMatchObject([{ name, imageSource: order.disks[0]?.image?.source }])
        }
        expect([...seen].sort()).toEqual(['new', 'old'])
      })
    }
  }

  test('takes the lock along, however it dies', async () => {
    await made()
    const file = paths.diskFile(uid, 'root')
    const script = `
      const { diskClaims } = await import(${JSON.stringify(join(import.meta.dirname, '../../../src/adapters/linux/disk-claims.ts'))})
      const { loadLibc } = await import(${JSON.stringify(join(import.meta.dirname, '../../../src/adapters/linux/libc.ts'))})
      const held = await diskClaims(loadLibc()).claim(${JSON.stringify(file)})
      process.stdout.write(held.kind)
      setInterval(() => held, 1000)`
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
    const said = await new Promise<string>((resolve) => child.stdout.once('data', (bytes: Buffer) => resolve(bytes.toString())))
    expect(said).toBe('claimed')
    expect((await diskClaims(loadLibc()).claim(file)).kind).toBe('inUse')
    child.kill('SIGKILL')
    await new Promise((resolve) => child.once('exit', resolve))
    expect((await diskClaims(loadLibc()).claim(file)).kind).toBe('claimed')
  })
})
