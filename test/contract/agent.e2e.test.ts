import { execFileSync, spawn, spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { diskClaims } from '../../src/adapters/linux/disk-claims.ts'
import { loadLibc } from '../../src/adapters/linux/libc.ts'
import type { AgentClient } from '../../src/adapters/control/agent-client.ts'
import type { ControlKey } from '../../src/api/control-key.ts'
import { agentUid, type Layout, sharedGid } from '../../src/api/layout.ts'
import { tapName, type VmName, type VmUid } from '../../src/api/names.ts'
import type { PrepareOrder } from '../../src/api/wire/agent-api.ts'
import { type KnownAnswer, marked, prepareMark, vmMark } from '../../src/api/wire/unchanged.ts'
import { encodeFrame } from '../../src/api/wire/frames.ts'
import {
  aKey,
  aLease,
  anOrder,
  clientOf,
  eventually,
  type FakeBroker,
  fakeBroker,
  type Keys,
  makeImage,
  makeStateRoot,
  prepared,
  putLongAgo,
  removeStateRoot,
  sha256Of,
  startProgram,
  startTestAgent,
  type TestAgentOptions,
  webServer,
} from './agent/harness.ts'
import { aMac, aVmName } from '../support/branded.ts'

let root: Layout
let broker: FakeBroker
let cleanups: (() => unknown)[]
const image = () => join(root.images, 'tiny.qcow2')

beforeEach(async () => {
  root = makeStateRoot()
  broker = await fakeBroker(root)
  cleanups = [() => broker.close()]
})

afterEach(async () => {
  for (const cleanup of cleanups.toReversed()) await cleanup()
  removeStateRoot(root)
})

async function agent(options: Partial<TestAgentOptions> = {}): Promise<AgentClient> {
  const stop = new AbortController()
  const listener = await startTestAgent({ layout: root, signal: stop.signal, ...options })
  const client = clientOf(listener.port, [options.keys?.[0] ?? aKey()])
  cleanups.push(() => {
    stop.abort()
    client.close()
    return listener.close()
  })
  await eventually(async () => ((await client.facts()).kvm.state === 'pending' && broker.connections > 0 ? undefined : true), 3_000).catch(
    () => undefined,
  )
  return client
}

function identityOf(uid: VmUid): { disks: { imageSha256: string }[]; machineType: string } {
  return JSON.parse(readFileSync(root.identityFile(uid), 'utf8'))
}

describe('the control plane', () => {
  test('accepts a client with one of the keys, and rejects all others', async () => {
    const keys: Keys = [aKey('new', '2'), aKey('old', '1')]
    const stop = new AbortController()
    const listener = await startTestAgent({ layout: root, keys, signal: stop.signal })
    cleanups.push(
      () => stop.abort(),
      () => listener.close(),
    )
    const ask = async (key: ControlKey): Promise<unknown> => {
      const client = clientOf(listener.port, [key])
      return await client.instances().finally(() => client.close())
    }
    expect(await ask(aKey('new', '2'))).toEqual([])
    expect(await ask(aKey('old', '1'))).toEqual([])
    await expect(ask(aKey('old', '2'))).rejects.toMatchObject({ kind: 'Unavailable', message: expect.stringContaining('same control key') })
    await expect(ask(aKey('other', '1'))).rejects.toMatchObject({ kind: 'Unavailable' })
    await expect(fetch(`https://127.0.0.1:${listener.port}/v1/facts`)).rejects.toThrow('fetch failed')
    await expect(fetch(`http://127.0.0.1:${listener.port}/v1/facts`)).rejects.toThrow('fetch failed')
    expect(await ask(aKey('new', '2'))).toEqual([])
  })

  test('answers an invalid request with the error, and keeps running', async () => {
    const client = await agent()
    await expect(client.prepare({ ...anOrder(), vm: '../etc' as VmName })).rejects.toMatchObject({
      kind: 'Invalid',
      message: expect.stringContaining('vm'),
    })
    await expect(client.prepare({ ...anOrder(), cluster: 'x'.repeat(300_000) })).rejects.toMatchObject({
      kind: 'Invalid',
      message: expect.stringContaining('BodyTooLong'),
    })
    await expect(client.vm('no-uid/../..' as VmUid)).rejects.toMatchObject({ kind: 'Invalid' })
    await expect(client.vm(anOrder().uid)).rejects.toMatchObject({ kind: 'NotFound' })
    expect((await client.facts()).hostname).toBe('n1')
  })
})

describe('preparing a VM', () => {
  test('makes image, overlay, directories and identity, and grants it to the broker', async () => {
    const sha256 = makeImage(image())
    const client = await agent()
    const order = anOrder()
    expect(await prepared(client, order)).toEqual({
      state: 'ready',
      accelerator: 'tcg',
      emulationReason: expect.stringContaining('DeviceMissing'),
    })
    expect(identityOf(order.uid)).toMatchObject({
      uid: order.uid,
      vm: order.vm,
      machineType: 'pc-q35-10.0',
      disks: [{ imageSha256: sha256, imageSource: 'images/tiny.qcow2' }],
    })
    const info = JSON.parse(execFileSync('qemu-img', ['info', '--output=json', root.diskFile(order.uid, 'root')], { encoding: 'utf8' }))
    expect(info).toMatchObject({
      'virtual-size': order.disks[0]?.sizeBytes,
      'backing-filename': `../images/${sha256}`,
      'backing-filename-format': 'qcow2',
    })
    expect(statSync(join(root.instanceImages(order.uid), sha256)).ino).toBe(statSync(root.storedImage(sha256)).ino)
    expect(statSync(root.storedImage(sha256)).ino).not.toBe(statSync(image()).ino)
    expect(broker.grants.get(order.uid)).toMatchObject({ vm: order.vm, accelerator: 'tcg', nics: order.nics })
    expect(await client.instances()).toEqual([
      {
        uid: order.uid,
        vm: order.vm,
        cluster: 'test',
        granted: true,
        disks: [expect.objectContaining({ name: 'root', sizeBytes: 16 * 1024 ** 2 })],
      },
    ])
    expect(readdirSync(root.store)).toEqual([sha256])
  })

  test('leaves a disk alone when it is ordered again, also after its image was overwritten in place', async () => {
    makeImage(image())
    const client = await agent()
    const order = anOrder()
    await prepared(client, order)
    writeFileSync(root.diskFile(order.uid, 'root'), 'the guest wrote this')
    makeImage(image())
    expect(await prepared(client, { ...order, disksMustExist: true })).toMatchObject({ state: 'ready' })
    expect(readFileSync(root.diskFile(order.uid, 'root'), 'utf8')).toBe('the guest wrote this')
  })

  test('reports which answers are unchanged, and repeats only the last order of a VM', async () => {
    makeImage(image())
    const client = await agent()
    const order = marked({ ...anOrder(), disksMustExist: false })
    const status = await prepared(client, order)
    const known = async (): Promise<KnownAnswer[]> => [
      { kind: 'prepare', uid: order.uid, order: order.mark, mark: prepareMark(status) },
      { kind: 'vm', uid: order.uid, mark: vmMark(await client.vm(order.uid)) },
      { kind: 'vm', uid: anOrder().uid, mark: '0'.repeat(32) },
    ]
    expect(await client.unchanged(await known())).toEqual([0, 1])
    rmSync(root.grantFile(order.uid))
    expect(await client.unchanged((await known()).slice(0, 1))).toEqual([0])
    expect(existsSync(root.grantFile(order.uid))).toBe(true)
    await client.revoke(order.uid)
    expect(await client.unchanged((await known()).slice(0, 1))).toEqual([])
    expect(existsSync(root.grantFile(order.uid))).toBe(false)
  })

  test('continues its order when its progress is requested, and does nothing in a dry run', async () => {
    makeImage(image())
    const first = await agent()
    const order = marked({ ...anOrder(), disksMustExist: false })
    const question = { uid: order.uid, order: order.mark }
    expect(await first.progress(question)).toEqual({ state: 'none' })
    await first.prepare(order)
    const done = await eventually(async () => {
      const progress = await first.progress(question)
      return progress?.state === 'preparing' ? undefined : progress
    })
    expect(done).toMatchObject({ state: 'ready' })
    rmSync(root.grantFile(order.uid))
    expect(await first.progress({ ...question, dryRun: true })).toEqual(done)
    expect(existsSync(root.grantFile(order.uid))).toBe(false)
    expect(await first.progress(question)).toEqual(done)
    expect(existsSync(root.grantFile(order.uid))).toBe(true)
    await first.revoke(order.uid)
    expect(await first.progress(question)).toEqual({ state: 'none' })
    expect(existsSync(root.grantFile(order.uid))).toBe(false)
  })

  test('refuses what would lose data, and says so', async () => {
    const sha256 = makeImage(image())
    const client = await agent()
    const order = anOrder()
    await prepared(client, order)
    const again = (change: Partial<PrepareOrder> & { image?: { source: string; sha256: string | null }; sizeBytes?: number }) =>
      prepared(client, { ...anOrder({ uid: order.uid, ...change }) })
    expect(await again({ image: { source: 'images/other.qcow2', sha256: null } })).toMatchObject({
      reason: 'ImageChangeRefused',
      message: expect.stringContaining('keeps running'),
    })
    expect(await again({ image: { source: 'images/tiny.qcow2', sha256: 'a'.repeat(64) } })).toMatchObject({ reason: 'ImageChangeRefused' })
    expect(await again({ image: { source: 'http://elsewhere/x', sha256 } })).toMatchObject({ state: 'ready' })
    expect(await again({ sizeBytes: 8 * 1024 ** 2 })).toMatchObject({ reason: 'DiskResizeUnsupported' })
    expect(await again({ vm: aVmName('web-2') })).toMatchObject({ reason: 'IdentityMismatch' })
    expect(await again({ cluster: 'other' })).toMatchObject({ reason: 'IdentityMismatch' })
    rmSync(root.diskFile(order.uid, 'root'))
    expect(await again({})).toMatchObject({ reason: 'DiskMissing' })
    expect(existsSync(root.diskFile(order.uid, 'root'))).toBe(false)
    expect(await prepared(client, anOrder({ disksMustExist: true }))).toMatchObject({ reason: 'DiskMissing' })
  })

  test('refuses images that are missing, too large, no image, or no file, and makes no directory for them', async () => {
    const client = await agent()
    const order = anOrder()
    expect(await client.prepare(order)).toMatchObject({
      state: 'failed',
      reason: 'ImageMissing',
      message: expect.stringContaining(image()),
    })
    makeImage(image(), { sizeMiB: 64 })
    expect(await prepared(client, order)).toMatchObject({ reason: 'DiskSmallerThanImage', message: expect.stringContaining('64 MiB') })
    writeFileSync(join(root.images, 'page.html'), '<html>'.repeat(1024))
    putLongAgo(join(root.images, 'page.html'))
    expect(await prepared(client, anOrder({ image: { source: 'images/page.html', sha256: null } }))).toMatchObject({
      reason: 'ImageRefused',
      message: expect.stringContaining('it is a text'),
    })
    symlinkSync(image(), join(root.images, 'link.qcow2'))
    expect(await prepared(client, anOrder({ image: { source: 'images/link.qcow2', sha256: null } }))).toMatchObject({
      reason: 'ImageRefused',
    })
    expect(await prepared(client, anOrder({ image: { source: 'images/../layout.json', sha256: null } }))).toMatchObject({
      reason: 'ImageSourceUnsupported',
    })
    expect(await prepared(client, anOrder({ image: { source: 'images/tiny.qcow2', sha256: 'b'.repeat(64) } }))).toMatchObject({
      reason: 'ImageChecksumMismatch',
      message: expect.stringContaining(sha256Of(image())),
    })
    expect(readdirSync(root.instances)).toEqual([])
    expect(readdirSync(root.store).filter((name) => name.includes('partial'))).toEqual([])
  })

  test('never lets an image lead to another file of the host', async () => {
    writeFileSync(join(root.root, 'secret'), Buffer.alloc(65_536, 's'))
    const hostile: Record<string, string[]> = {
      'backing.qcow2': ['create', '-f', 'qcow2', '-b', join(root.root, 'secret'), '-F', 'raw'],
      'shadow.qcow2': ['create', '-f', 'qcow2', '-u', '-b', '/etc/shadow', '-F', 'raw'],
      'data.qcow2': ['create', '-f', 'qcow2', '-o', `data_file=${join(root.root, 'data')},data_file_raw=on`],
    }
    const client = await agent()
    for (const [name, args] of Object.entries(hostile)) {
      execFileSync('qemu-img', [...args, join(root.images, name), '8M'])
      putLongAgo(join(root.images, name))
      const status = await prepared(client, anOrder({ image: { source: `images/${name}`, sha256: null } }))
      expect(status).toMatchObject({ state: 'failed', reason: 'ImageRefused', message: expect.stringContaining('qemu-img convert') })
    }
    expect(readdirSync(root.store)).toEqual([])
  })

  test('reports problems of the state root', async () => {
    makeImage(image())
    const client = await agent()
    rmSync(root.layoutFile)
    expect(await client.prepare(anOrder())).toMatchObject({ reason: 'LayoutMissing' })
    writeFileSync(root.layoutFile, '{"version": 2}')
    expect(await client.prepare(anOrder())).toMatchObject({ reason: 'LayoutUnsupported' })
    renameSync(root.instances, `${root.instances}-away`)
    await expect(client.instances()).rejects.toMatchObject({
      kind: 'Unavailable',
      message: expect.stringContaining('instances is missing'),
    })
  })

  test('shows a directory whose identity is unreadable rather than nothing', async () => {
    const client = await agent()
    const { uid } = anOrder()
    mkdirSync(root.disks(uid), { recursive: true })
    writeFileSync(root.diskFile(uid, 'root'), 'somebody’s')
    writeFileSync(root.identityFile(uid), '{')
    expect(await client.instances()).toMatchObject([{ uid, vm: null, disks: [{ name: 'root' }] }])
    expect(await client.prepare(anOrder({ uid }))).toMatchObject({ state: 'failed', reason: 'IdentityUnreadable' })
    expect(readFileSync(root.diskFile(uid, 'root'), 'utf8')).toBe('somebody’s')
  })
})

/** A process that has the disk open, as QEMU does. It says so itself: asking for the lock meanwhile would keep it from opening the disk. */
async function openDisk(path: string): Promise<{ close(): Promise<unknown> }> {
  const commands = ['-c', 'read 0 512', '-c', 'sleep 600000']
  const qemuIo = spawn('stdbuf', ['-oL', 'qemu-io', '-f', 'qcow2', ...commands, path], { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = new Promise((resolve) => qemuIo.once('exit', resolve))
  await new Promise((resolve) => qemuIo.stdout.once('data', resolve))
  return {
    close() {
      qemuIo.kill('SIGKILL')
      return ended
    },
  }
}

describe('replacing a disk', () => {
  test("replaces a disk with the token of the rejection while the VM is off, and keeps the VM's identity", async () => {
    makeImage(image())
    const other = makeImage(join(root.images, 'other.qcow2'))
    const client = await agent()
    const order = anOrder()
    await prepared(client, order)
    const change = { ...order, disks: anOrder({ image: { source: 'images/other.qcow2', sha256: null } }).disks }
    const refused = await prepared(client, change)
    const [, token = ''] = /replace-disks: "root=([0-9a-f]{16})"/.exec('message' in refused ? refused.message : '') ?? []
    const allowed = { ...change, replaceDisks: [{ disk: 'root', token }] }
    broker.leases = [aLease(order.uid, true)]
    expect(await prepared(client, allowed)).toMatchObject({ state: 'failed', reason: 'DiskInUse' })
    broker.leases = []
    const open = await openDisk(root.diskFile(order.uid, 'root'))
    expect(await prepared(client, allowed)).toMatchObject({ reason: 'DiskInUse', message: expect.stringContaining('root.qcow2 open') })
    await open.close()
    expect(await prepared(client, allowed)).toMatchObject({ state: 'ready' })
    expect(identityOf(order.uid)).toMatchObject({ uid: order.uid, vm: order.vm, disks: [{ imageSha256: other }] })
    expect(readdirSync(root.disks(order.uid))).toEqual(['root.qcow2'])
    expect((lstatSync(root.diskFile(order.uid, 'root')).mode & 0o7777).toString(8)).toBe('660')
    expect(broker.grants.has(order.uid)).toBe(true)
  })

  test('a QEMU cannot open a disk that the agent holds', async () => {
    const path = join(root.root, 'held.qcow2')
    makeImage(path)
    const held = await diskClaims(loadLibc()).claim(path)
    const open = () => spawnSync('qemu-io', ['-f', 'qcow2', '-c', 'read 0 512', path], { encoding: 'utf8' })
    expect(open()).toMatchObject({ status: 1, stderr: expect.stringContaining('lock') })
    if (held.kind === 'claimed') await held.release()
    expect(open().status).toBe(0)
  })
})

describe('images from the network', () => {
  test('are fetched once for all VMs that need them, through redirects, and checked', async () => {
    const sha256 = makeImage(image())
    const server = await webServer(image())
    cleanups.push(() => server.close())
    const client = await agent()
    const from = (path: string, sha = sha256) => anOrder({ image: { source: `${server.url}${path}`, sha256: sha } })
    const all = await Promise.all([prepared(client, from('/slow')), prepared(client, from('/slow')), prepared(client, from('/slow'))])
    expect(all.map((status) => status.state)).toEqual(['ready', 'ready', 'ready'])
    expect(server.requests).toEqual(['/slow'])
    rmSync(root.storedImage(sha256))
    expect(await prepared(client, from('/redirect'))).toMatchObject({ state: 'ready' })
  })

  test('say why they did not arrive', async () => {
    const sha256 = makeImage(image())
    const server = await webServer(image())
    cleanups.push(() => server.close())
    const client = await agent()
    const status = (path: string, sha = sha256) =>
      eventually(async () => {
        const seen = await client.prepare(anOrder({ image: { source: `${server.url}${path}`, sha256: sha } }))
        return seen.state === 'preparing' && seen.reason === 'ImageArriving' ? undefined : seen
      })
    expect(await status('/good', 'c'.repeat(64))).toMatchObject({
      state: 'failed',
      reason: 'ImageChecksumMismatch',
      message: expect.stringMatching(new RegExp(`${sha256}.*c{64}`)),
    })
    expect(await status('/missing')).toMatchObject({ state: 'failed', reason: 'ImageUnavailable', message: expect.stringContaining('404') })
    expect(await status('/loop')).toMatchObject({ state: 'failed', reason: 'ImageUnavailable' })
    expect(await status('/file')).toMatchObject({ state: 'failed', reason: 'ImageUnavailable' })
    expect(await status('/silent')).toMatchObject({ state: 'preparing', reason: 'ImageRetry' })
    expect(await status('/huge')).toMatchObject({ state: 'failed', reason: 'InsufficientDisk' })
    expect(readdirSync(root.store)).toEqual([])
  })
})

describe('a kill in the middle', () => {
  test('while an image arrives is made good by the next order, as an ordinary user with the modes that runners need', async () => {
    const sha256 = makeImage(image(), { payloadBytes: 300_000 })
    chmodSync(root.admin, 0o2755)
    const server = await webServer(image())
    cleanups.push(() => server.close())
    const order = anOrder({ image: { source: `${server.url}/slow`, sha256 } })
    const first = await startProgram(root, cleanups)
    expect(await first.client.prepare(order)).toMatchObject({
      state: 'preparing',
      reason: 'ImageArriving',
      message: expect.stringContaining('arrived'),
    })
    first.child.kill('SIGKILL')
    expect(readdirSync(root.store)).toEqual([expect.stringContaining('partial')])
    const second = await startProgram(root, cleanups)
    expect(await prepared(second.client, order)).toMatchObject({ state: 'ready' })
    const modeOf = (path: string) => (lstatSync(path).mode & 0o7777).toString(8)
    const paths = [
      root.instance(order.uid),
      root.instanceImages(order.uid),
      root.disks(order.uid),
      root.run(order.uid),
      root.diskFile(order.uid, 'root'),
      root.identityFile(order.uid),
      root.storedImage(sha256),
    ]
    expect(paths.map(modeOf)).toEqual(['2750', '2750', '2770', '2770', '660', '440', '440'])
    expect(paths.map((path) => [lstatSync(path).uid, lstatSync(path).gid])).toEqual(paths.map(() => [agentUid, sharedGid]))
    second.child.kill('SIGTERM')
    expect(await new Promise((resolve) => second.child.once('exit', resolve))).toBe(0)
  })

  test('leaves directories at any step that are completed and never wiped', async () => {
    const sha256 = makeImage(image())
    const client = await agent()
    const whole = anOrder()
    await prepared(client, whole)
    const identity = readFileSync(root.identityFile(whole.uid), 'utf8')
    const steps = {
      directories: () => undefined,
      draft: ({ uid, vm }: PrepareOrder) =>
        writeFileSync(join(root.instance(uid), 'identity.json.draft'), identity.replaceAll(whole.uid, uid).replace(whole.vm, vm)),
      link: ({ uid }: PrepareOrder) => linkSync(root.storedImage(sha256), join(root.instanceImages(uid), sha256)),
      halfDisk: ({ uid }: PrepareOrder) => writeFileSync(join(root.disks(uid), `.root.new-${uid}`), 'half'),
      disk: ({ uid }: PrepareOrder) => writeFileSync(root.diskFile(uid, 'root'), 'half'),
    }
    const done: (keyof typeof steps)[] = []
    for (const step of Object.keys(steps) as (keyof typeof steps)[]) {
      done.push(step)
      const order = anOrder()
      for (const directory of [root.instanceImages(order.uid), root.disks(order.uid)]) mkdirSync(directory, { recursive: true })
      for (const one of done) steps[one](order)
      // The operator's file changed meanwhile: what a disk was made from is what the draft says.
      if (step === 'disk') makeImage(image())
      expect(await prepared(client, order)).toMatchObject({ state: 'ready' })
      expect(identityOf(order.uid).disks).toMatchObject([{ imageSha256: sha256 }])
      expect(readdirSync(root.instance(order.uid)).sort()).toEqual(['disks', 'identity.json', 'images', 'nic-slots.json', 'run'])
      expect(readdirSync(root.disks(order.uid))).toEqual(['root.qcow2'])
      expect(readFileSync(root.diskFile(order.uid, 'root'), 'utf8') === 'half').toBe(step === 'disk')
    }
  })
})

describe('grants', () => {
  test('are renewed with nobody asking when the broker comes back, and strays are taken back', async () => {
    makeImage(image())
    const client = await agent()
    const order = anOrder()
    await prepared(client, order)
    broker.close()
    await eventually(async () => ((await client.facts()).broker === null ? true : undefined))
    expect(await client.prepare(order)).toMatchObject({ state: 'ready' })
    expect(await client.prepare(anOrder())).toMatchObject({ state: 'preparing', reason: 'BrokerUnavailable' })
    const away = Date.now()
    const stray = anOrder().uid
    broker = await fakeBroker(root)
    broker.grants.set(stray, { version: 1, uid: stray, vm: aVmName('gone'), accelerator: 'tcg', nics: [] })
    await eventually(() => (broker.grants.has(order.uid) && !broker.grants.has(stray) ? true : undefined))
    expect(Date.now() - away).toBeLessThan(2_000)
    expect(broker.grants.size).toBe(2)
  })

  test('are renewed by a new agent, and revoked for good', async () => {
    makeImage(image())
    const order = anOrder()
    await prepared(await agent(), order)
    broker.grants.clear()
    const next = await agent()
    await eventually(() => (broker.grants.has(order.uid) ? true : undefined))
    await next.revoke(order.uid)
    expect(broker.grants.size).toBe(0)
    expect(await next.instances()).toMatchObject([{ uid: order.uid, granted: false, disks: [{ name: 'root' }] }])
    await next.revoke(order.uid)
  })

  test('go with the disks where those are deleted, and only of the VM that is named and is off', async () => {
    makeImage(image())
    const client = await agent()
    const [order, beside] = [anOrder(), anOrder()]
    await prepared(client, order)
    await prepared(client, beside)
    const { uid, vm, cluster } = order
    const named = { version: 1, uid, vm, cluster } as const
    expect(await client.deleteDisks({ ...named, vm: aVmName('another') })).toMatchObject({ state: 'failed', reason: 'IdentityMismatch' })
    const claim = await diskClaims(loadLibc()).claim(root.diskFile(uid, 'root'))
    expect(await client.deleteDisks(named)).toMatchObject({ state: 'waiting', reason: 'DiskInUse' })
    expect([existsSync(root.diskFile(uid, 'root')), broker.grants.has(uid)]).toEqual([true, false])
    if (claim.kind === 'claimed') await claim.release()
    expect(await client.deleteDisks(named)).toEqual({ state: 'gone' })
    expect([existsSync(root.instance(uid)), existsSync(root.grantFile(uid))]).toEqual([false, false])
    expect(await client.deleteDisks(named)).toEqual({ state: 'gone' })
    expect(await client.instances()).toMatchObject([{ uid: beside.uid, granted: true, disks: [{ name: 'root' }] }])
  })

  test('that the broker refuses fail with its reason until it allows them', async () => {
    makeImage(image())
    const client = await agent()
    const order = anOrder()
    broker.refuse = 'BridgeNotAllowed'
    expect(await prepared(client, order)).toMatchObject({ state: 'failed', reason: 'BridgeNotAllowed' })
    broker.refuse = undefined
    expect(await prepared(client, order)).toMatchObject({ state: 'ready' })
  })

  test('keep their accelerator while a runner holds the lease', async () => {
    makeImage(image())
    const client = await agent()
    const order = anOrder()
    await prepared(client, order)
    broker.leases = [aLease(order.uid, true)]
    expect(await prepared(client, { ...order, accelerator: 'kvm' })).toMatchObject({ state: 'ready', accelerator: 'tcg' })
    broker.leases = []
    expect(await prepared(client, { ...order, accelerator: 'kvm' })).toMatchObject({
      state: 'failed',
      reason: 'KvmUnusable',
      message: expect.stringContaining('/dev/kvm'),
    })
  })
})

describe('the status of a VM', () => {
  test('comes from the broker and its runner together', async () => {
    makeImage(image())
    const client = await agent()
    const order = anOrder()
    await prepared(client, order)
    broker.leases = [aLease(order.uid, true), aLease(anOrder().uid, true)]
    const heard = {
      mac: aMac('52:54:00:00:00:01'),
      ip: '192.168.50.42',
      via: 'dhcp',
      interface: tapName(order.uid, 'lan'),
      ageMs: 50,
    } as const
    // A broker of release 0.1 also reports addresses seen on the bridge, where every guest can forge them.
    broker.sightings = [heard, { ...heard, ip: '192.168.50.66', interface: 'br0', ageMs: 5 }]
    expect(await client.vm(order.uid)).toMatchObject({
      lease: { uid: order.uid, held: true },
      sightings: [heard],
      runner: null,
      runnerMessage: expect.stringContaining('control socket'),
    })
    listenAsRunner(order.uid, (uid) => [{ type: 'hello', protocol: 'swarmvirt.runner-control', version: 1, uid }, statusOf(uid)])
    expect(await client.vm(order.uid)).toMatchObject({ runner: { phase: 'Running' }, runnerMessage: '' })
    broker.close()
    await eventually(async () => ((await client.vm(order.uid)).lease === null ? true : undefined))
    expect((await client.vm(order.uid)).brokerMessage).toContain('broker')
  })

  test('takes nothing from a runner that lies', async () => {
    makeImage(image())
    const client = await agent()
    const order = anOrder()
    const other = anOrder()
    await prepared(client, order)
    await prepared(client, other)
    const asRunner = async (frames: (uid: VmUid) => (object | string)[]): Promise<string> => {
      const heard = listenAsRunner(order.uid, frames)
      const { runner, runnerMessage } = await client.vm(order.uid)
      expect(runner).toBe(null)
      expect(heard.bytes).toBe(0)
      return runnerMessage
    }
    expect(await asRunner(() => [{ type: 'hello', protocol: 'swarmvirt.runner-control', version: 1, uid: other.uid }])).toContain(
      'another VM',
    )
    expect(await asRunner(() => ['x'.repeat(1_000_000)])).toContain('not a runner')
    expect(await asRunner(() => ['[1]\n'])).toContain('not a runner')
    expect(await asRunner(() => [])).toContain('in time')
    listenAsRunner(other.uid, (uid) => [{ type: 'hello', protocol: 'swarmvirt.runner-control', version: 1, uid }, statusOf(uid)])
    rmSync(root.controlSocket(order.uid))
    symlinkSync(root.controlSocket(other.uid), root.controlSocket(order.uid))
    expect((await client.vm(order.uid)).runnerMessage).toContain('not a socket')
  })

  test('includes probes, which say unknown where nothing can be asked', async () => {
    const client = await agent()
    const request = { version: 1, kind: 'tcp', bridge: 'br0', ip: '127.0.0.1', port: 9, timeoutMs: 500 } as const
    expect(await client.probe(request)).toMatchObject({ outcome: 'unknown', reason: 'NoAddressOnBridge' })
    broker.bridgeAddress = '192.168.50.11'
    const server = createServer().listen(0, '127.0.0.1')
    cleanups.push(() => server.close())
    const port = await eventually(() => (server.address() as { port: number } | null)?.port)
    expect(await client.probe({ ...request, port })).toMatchObject({ outcome: 'reached', rttMs: expect.any(Number) })
    expect(await client.probe(request)).toMatchObject({ outcome: 'unreached', reason: 'ConnectionRefused' })
    expect(await client.probe({ ...request, bridge: 'br9' })).toMatchObject({ outcome: 'unknown', reason: 'BridgeMissing' })
    expect(await client.probe({ version: 1, kind: 'arp', bridge: 'br0', ip: '192.168.50.42', timeoutMs: 500 })).toMatchObject({
      outcome: 'reached',
      mac: aMac('52:54:00:00:00:01'),
    })
  })
})

function statusOf(uid: VmUid): object {
  const hardening = { uid: 30_702, capEff: '0', capBnd: '0', noNewPrivs: true, seccomp: 2 }
  const status = {
    uid,
    phase: 'Running',
    message: '',
    accelerator: 'tcg',
    qemuStatus: 'running',
    launchHash: 'h',
    release: 'test',
    startedAt: new Date(0).toISOString(),
    restarts: 0,
    hardening,
  }
  return { type: 'status', id: 1, status }
}

/** Says the first frame at once and one more for each request. */
function listenAsRunner(uid: VmUid, frames: (uid: VmUid) => (object | string)[]): { bytes: number } {
  const heard = { bytes: 0 }
  rmSync(root.controlSocket(uid), { force: true })
  const server = createServer((socket) => {
    const [first, second] = frames(uid).map((frame) => (typeof frame === 'string' ? frame : encodeFrame(frame)))
    socket.on('error', () => undefined)
    if (first !== undefined) socket.write(first)
    socket.on('data', (bytes) => {
      heard.bytes += bytes.length
      if (second !== undefined) socket.write(second)
    })
  }).listen(root.controlSocket(uid))
  cleanups.push(() => server.close())
  return heard
}
