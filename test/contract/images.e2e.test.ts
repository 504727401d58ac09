/** The files that may become a disk: real files, real qemu-img, real web servers on loopback. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  copyFileSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { createServer as createHttpServer, type RequestListener } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { AgentClient } from '../../src/adapters/control/agent-client.ts'
import { selfSignedCertificate } from '../../src/adapters/controller-api/certificate.ts'
import type { Layout } from '../../src/api/layout.ts'
import type { PrepareStatus } from '../../src/api/wire/agent-api.ts'
import {
  anOrder,
  clientOf,
  eventually,
  type FakeBroker,
  fakeBroker,
  makeImage,
  makeStateRoot,
  prepared,
  putLongAgo,
  removeStateRoot,
  sha256Of,
  startTestAgent,
  type TestAgentOptions,
} from './agent/harness.ts'

const mebibyte = 1024 ** 2
let root: Layout
let broker: FakeBroker
let cleanups: (() => unknown)[]
const imagePath = (name: string) => join(root.images, name)
const fromImages = (name: string, sizeBytes = 64 * mebibyte) => anOrder({ image: { source: `images/${name}`, sha256: null }, sizeBytes })

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
  const client = clientOf(listener.port)
  cleanups.push(() => {
    stop.abort()
    client.close()
    return listener.close()
  })
  return client
}

/** The first answer that is no longer about bytes under way. */
function answer(client: AgentClient, source: string, sha256 = 'a'.repeat(64)): Promise<PrepareStatus> {
  const order = anOrder({ image: { source, sha256 } })
  return eventually(async () => {
    const seen = await client.prepare(order)
    return seen.state === 'preparing' && seen.reason === 'ImageArriving' ? undefined : seen
  })
}

/** `data` bytes that do not compress, then a hole. */
function makeRaw(path: string, dataMiB: number, sizeMiB: number): string {
  execFileSync('dd', ['if=/dev/urandom', `of=${path}`, 'bs=1M', `count=${dataMiB}`, 'status=none'])
  truncateSync(path, sizeMiB * mebibyte)
  putLongAgo(path)
  return path
}

/** A file of the image format, made by qemu-img. */
function made(format: string, options: readonly string[], path: string): void {
  execFileSync('qemu-img', ['create', '-q', '-f', format, ...options, path, '16M'])
}

/** Changes bytes of a file. */
function edited(path: string, change: (bytes: Buffer) => void): void {
  const bytes = readFileSync(path)
  change(bytes)
  writeFileSync(path, bytes)
}

const qcow2Fields = {
  size: 24,
  encryption: 32,
  l1Size: 36,
  refcountTableClusters: 56,
  snapshots: 60,
  snapshotsOffset: 64,
  headerLength: 100,
} as const

/** Each is made as an attacker would make it, and names a file of the host where its format can. */
const hostileImages: readonly (readonly [what: string, make: (path: string) => void, message: string])[] = [
  ['a backing file of the host', (path) => made('qcow2', ['-u', '-b', '/etc/shadow', '-F', 'raw'], path), 'backing file'],
  [
    'a backing file that JSON describes',
    (path) => made('qcow2', ['-u', '-b', 'json:{"driver":"file","filename":"/etc/shadow"}', '-F', 'raw'], path),
    'backing file',
  ],
  ['a backing file on the network', (path) => made('qcow2', ['-u', '-b', 'nbd://127.0.0.1:10809/x', '-F', 'raw'], path), 'backing file'],
  [
    'a data file',
    (path) => (made('qcow2', ['-o', `data_file=${path}.data,data_file_raw=on`], path), rmSync(`${path}.data`)),
    'another file',
  ],
  ['encryption', (path) => (made('qcow2', [], path), edited(path, (bytes) => bytes.writeUInt32BE(2, qcow2Fields.encryption))), 'encrypted'],
  ['LUKS', (path) => writeFileSync(path, Buffer.concat([Buffer.from('LUKS\u00ba\u00be', 'latin1'), Buffer.alloc(mebibyte - 6)])), 'LUKS'],
  [
    'an internal snapshot',
    (path) => (made('qcow2', [], path), execFileSync('qemu-img', ['snapshot', '-c', 'one', path])),
    'internal snapshots',
  ],
  [
    'a table of 65,536 snapshots',
    (path) => (
      made('qcow2', [], path),
      edited(
        path,
        (bytes) => (bytes.writeUInt32BE(65_536, qcow2Fields.snapshots), bytes.writeBigUInt64BE(65_536n, qcow2Fields.snapshotsOffset)),
      )
    ),
    'internal snapshots',
  ],
  ['a dirty bitmap', (path) => (made('qcow2', [], path), execFileSync('qemu-img', ['bitmap', '--add', path, 'one'])), 'dirty bitmaps'],
  [
    '8 EiB',
    (path) => (made('qcow2', [], path), edited(path, (bytes) => bytes.writeBigUInt64BE(2n ** 63n - 512n, qcow2Fields.size))),
    'declares',
  ],
  ['4 PiB', (path) => (made('qcow2', [], path), edited(path, (bytes) => bytes.writeBigUInt64BE(2n ** 52n, qcow2Fields.size))), ''],
  [
    'no size',
    (path) => (made('qcow2', [], path), edited(path, (bytes) => bytes.writeBigUInt64BE(0n, qcow2Fields.size))),
    'declares 0 bytes',
  ],
  [
    'a first table of 4 billion entries',
    (path) => (made('qcow2', [], path), edited(path, (bytes) => bytes.writeUInt32BE(0xff_ff_ff_ff, qcow2Fields.l1Size))),
    '',
  ],
  [
    'a table of reference counts of 4 billion clusters',
    (path) => (made('qcow2', [], path), edited(path, (bytes) => bytes.writeUInt32BE(0xff_ff_ff_ff, qcow2Fields.refcountTableClusters))),
    '',
  ],
  [
    'a header of 4 GiB',
    (path) => (made('qcow2', [], path), edited(path, (bytes) => bytes.writeUInt32BE(0xff_ff_ff_f8, qcow2Fields.headerLength))),
    'does not end',
  ],
  [
    'a qcow2 header and nothing behind it',
    (path) => writeFileSync(path, Buffer.concat([Buffer.from('QFI\u00fb', 'latin1'), Buffer.alloc(508)])),
    'version 0',
  ],
  [
    'a vmdk that names a file',
    (path) =>
      writeFileSync(path, '# Disk DescriptorFile\nversion=1\nCID=1\ncreateType="monolithicFlat"\nRW 1 FLAT "/etc/shadow" 0\n'.padEnd(1024)),
    'vmdk',
  ],
  ['a qed with a backing file', (path) => made('qed', ['-u', '-b', '/etc/shadow', '-F', 'raw'], path), 'qed'],
  ['a vdi', (path) => made('vdi', [], path), 'vdi'],
  ['a vhdx', (path) => made('vhdx', [], path), 'vhdx'],
  ['a link to a file of the host', (path) => symlinkSync('/etc/shadow', path), ''],
  ['a FIFO', (path) => execFileSync('mkfifo', [path]), ''],
  ['a directory', (path) => mkdirSync(path), ''],
]

describe('a hostile image', () => {
  test.each(hostileImages)('is refused before a disk is made of it: %s', async (_what, make, message) => {
    make(imagePath('hostile'))
    if (lstatSync(imagePath('hostile')).isFile()) putLongAgo(imagePath('hostile'))
    const status = await prepared(await agent(), fromImages('hostile'))
    expect(status).toMatchObject({ state: 'failed', message: expect.stringContaining(message) })
    expect(['ImageRefused', 'DiskSmallerThanImage', 'ImageMissing']).toContain((status as { reason: string }).reason)
    expect(readdirSync(root.instances)).toEqual([])
  })

  test('that is small and holds 64 MiB of zeros compressed is ordinary: its guest reads it, and nobody unpacks it', async () => {
    execFileSync('qemu-img', ['convert', '-c', '-f', 'raw', '-O', 'qcow2', makeRaw(imagePath('zeros.raw'), 0, 64), imagePath('bomb')])
    putLongAgo(imagePath('bomb'))
    expect(await prepared(await agent(), fromImages('bomb'))).toMatchObject({ state: 'ready' })
    expect(statSync(join(root.store, readdirSync(root.store)[0] ?? '')).blocks * 512).toBeLessThan(mebibyte)
  })
})

describe('a qcow2 image that is cut off', () => {
  test.each([
    ['half of it', [], 0.5],
    ['half of a compressed one', ['-c'], 0.5],
    ['all but its last clusters', [], 0.97],
  ] as const)('is refused: %s', async (_what, options, part) => {
    const whole = imagePath('whole.qcow2')
    execFileSync('qemu-img', ['convert', ...options, '-f', 'raw', '-O', 'qcow2', makeRaw(imagePath('a.raw'), 8, 32), whole])
    truncateSync(whole, Math.floor(statSync(whole).size * part))
    putLongAgo(whole)
    expect(await prepared(await agent(), fromImages('whole.qcow2'))).toMatchObject({
      state: 'failed',
      reason: 'ImageRefused',
      message: expect.stringContaining('it is truncated'),
    })
    expect([readdirSync(root.store), readdirSync(root.instances)]).toEqual([[], []])
  })

  test('is refused however much qemu-img has to say about it', async () => {
    const options = 'preallocation=metadata,cluster_size=512'
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-o', options, imagePath('long.qcow2'), '64M'])
    truncateSync(imagePath('long.qcow2'), 32 * mebibyte)
    putLongAgo(imagePath('long.qcow2'))
    expect(await prepared(await agent(), fromImages('long.qcow2'))).toMatchObject({
      state: 'failed',
      reason: 'ImageRefused',
      message: expect.stringContaining('it is truncated'),
    })
  })

  test('and that an earlier release took into the store becomes no further disk', async () => {
    const sha256 = makeImage(imagePath('tiny.qcow2'), { payloadBytes: mebibyte })
    truncateSync(imagePath('tiny.qcow2'), statSync(imagePath('tiny.qcow2')).size / 2)
    mkdirSync(dirname(root.storedImage(sha256)), { recursive: true })
    copyFileSync(imagePath('tiny.qcow2'), root.storedImage(sha256))
    const order = anOrder({ image: { source: 'images/tiny.qcow2', sha256 } })
    expect(await prepared(await agent(), order)).toMatchObject({
      reason: 'ImageRefused',
      message: expect.stringContaining('it is truncated'),
    })
  })

  test('with clusters that nothing refers to is whole, and taken', async () => {
    makeImage(imagePath('leak.qcow2'))
    execFileSync('qemu-io', ['-f', 'qcow2', '-c', 'write -P 7 0 1M', imagePath('leak.qcow2')], { stdio: 'ignore' })
    // The first L2 table's entries are forgotten: their clusters leak.
    const bytes = readFileSync(imagePath('leak.qcow2'))
    const l1 = Number(bytes.readBigUInt64BE(40))
    const l2 = Number(bytes.readBigUInt64BE(l1) & 0x00ff_ffff_ffff_fe00n)
    bytes.fill(0, l2, l2 + 64)
    writeFileSync(imagePath('leak.qcow2'), bytes)
    putLongAgo(imagePath('leak.qcow2'))
    expect(await prepared(await agent(), fromImages('leak.qcow2'))).toMatchObject({ state: 'ready' })
  })
})

test('An image that is still being copied in is waited for', async () => {
  makeImage(imagePath('tiny.qcow2'))
  const client = await agent()
  const now = Date.now() / 1000
  utimesSync(imagePath('tiny.qcow2'), now, now)
  expect(await client.prepare(fromImages('tiny.qcow2'))).toMatchObject({
    state: 'preparing',
    reason: 'ImageArriving',
    message: expect.stringContaining('still being written'),
  })
  expect(readdirSync(root.store)).toEqual([])
  putLongAgo(imagePath('tiny.qcow2'))
  expect(await prepared(client, fromImages('tiny.qcow2'))).toMatchObject({ state: 'ready' })
})

describe('a raw image', () => {
  const overlay = (path: string): Record<string, unknown> =>
    JSON.parse(execFileSync('qemu-img', ['info', '--output=json', path], { encoding: 'utf8' })) as Record<string, unknown>
  const qemuIo = (path: string, command: string): string =>
    execFileSync('qemu-io', ['-f', 'qcow2', '-c', command, path], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })

  test('becomes a disk that names its format, and the guest sees its content', async () => {
    const path = makeRaw(imagePath('disk.img'), 4, 16)
    execFileSync('dd', [`of=${path}`, 'conv=notrunc', 'bs=1M', 'seek=1', 'status=none'], { input: Buffer.alloc(mebibyte, 0x5a) })
    putLongAgo(path)
    const order = fromImages('disk.img', 32 * mebibyte)
    expect(await prepared(await agent(), order)).toMatchObject({ state: 'ready' })
    expect(JSON.parse(readFileSync(root.identityFile(order.uid), 'utf8'))).toMatchObject({
      disks: [{ imageFormat: 'raw', imageSha256: sha256Of(path) }],
    })
    const disk = root.diskFile(order.uid, 'root')
    expect(overlay(disk)).toMatchObject({ 'backing-filename-format': 'raw', 'virtual-size': 32 * mebibyte, format: 'qcow2' })
    expect(qemuIo(disk, 'read -P 0x5a 1M 1M')).toContain('read 1048576/1048576')
  })

  test('is never taken for qcow2, whatever the guest writes to its first sector', async () => {
    makeRaw(imagePath('disk.img'), 1, 16)
    const order = fromImages('disk.img', 16 * mebibyte)
    await prepared(await agent(), order)
    const header = join(root.root, 'header')
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-u', '-b', '/etc/shadow', '-F', 'raw', header, '1G'])
    truncateSync(header, 256 * 1024)
    const disk = root.diskFile(order.uid, 'root')
    qemuIo(disk, `write -s ${header} 0 256k`)
    expect(overlay(disk)).toMatchObject({ 'backing-filename-format': 'raw', 'virtual-size': 16 * mebibyte })
    expect(readFileSync(root.storedImage(sha256Of(imagePath('disk.img')))).subarray(0, 4)).not.toEqual(Buffer.from('QFI\xfb', 'latin1'))
    // With a fresh agent, and of the same image: its format is what it was.
    const second = fromImages('disk.img', 16 * mebibyte)
    await prepared(await agent(), second)
    expect(overlay(root.diskFile(second.uid, 'root'))).toMatchObject({ 'backing-filename-format': 'raw' })
  })

  test('is not unpacked: a qcow2 image inside a qcow2 image is ordinary content', async () => {
    makeImage(imagePath('inner.qcow2'))
    execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', imagePath('inner.qcow2'), imagePath('outer.qcow2')])
    putLongAgo(imagePath('outer.qcow2'))
    const order = fromImages('outer.qcow2')
    await prepared(await agent(), order)
    const disk = root.diskFile(order.uid, 'root')
    expect(overlay(disk)).toMatchObject({ 'backing-filename-format': 'qcow2' })
    expect(qemuIo(disk, 'read -v 0 512')).toContain('51 46 49 fb')
  })
})

describe('a sparse image', () => {
  const allocated = (path: string): number => statSync(path).blocks * 512

  test('keeps its holes in the store, and the hash of its full content', async () => {
    const path = makeRaw(imagePath('sparse.img'), 2, 512)
    const order = fromImages('sparse.img', 512 * mebibyte)
    expect(await prepared(await agent(), order)).toMatchObject({ state: 'ready' })
    const sha256 = sha256Of(path)
    expect(statSync(root.storedImage(sha256)).size).toBe(512 * mebibyte)
    expect(allocated(root.storedImage(sha256))).toBeLessThan(4 * mebibyte)
    execFileSync('cmp', [path, root.storedImage(sha256)])
  })

  test('gets holes when it comes from a server that sends every byte', async () => {
    const path = makeRaw(join(root.root, 'sparse.img'), 2, 64)
    const bytes = readFileSync(path)
    const sha256 = createHash('sha256').update(bytes).digest('hex')
    const { port } = await serve((_request, response) => void response.writeHead(200, { 'content-length': bytes.length }).end(bytes))
    expect(await answer(await agent(), `http://127.0.0.1:${port}/sparse.img`, sha256)).toMatchObject({ reason: 'DiskSmallerThanImage' })
    expect(allocated(root.storedImage(sha256))).toBeLessThan(4 * mebibyte)
    execFileSync('cmp', [path, root.storedImage(sha256)])
  })
})

async function serve(listener: RequestListener, tls?: { key: string; cert: string }): Promise<{ port: number; connections(): number }> {
  const server = tls ? createHttpsServer(tls, listener) : createHttpServer(listener)
  let connections = 0
  server.on('connection', () => (connections += 1))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  cleanups.push(() => {
    server.close()
    server.closeAllConnections()
  })
  return { port: (server.address() as AddressInfo).port, connections: () => connections }
}

describe('a download', () => {
  test('names what came in the place of the image', async () => {
    const page = '<!DOCTYPE html>\n\x1b[2J<title>Sign in</title>'
    const { port } = await serve((_request, response) => void response.writeHead(200, { 'content-type': 'text/html' }).end(page))
    expect(await answer(await agent(), `http://127.0.0.1:${port}/x.qcow2`)).toMatchObject({
      state: 'failed',
      reason: 'ImageChecksumMismatch',
      message: expect.stringContaining(String.raw`${page.length} B of type text/html, beginning with "<!DOCTYPE html>\x0a\x1b[2J<title>`),
    })
  })

  test('says that a certificate is not trusted, and that this needs a person', async () => {
    const { keyPem, certificatePem } = await selfSignedCertificate('localhost', new Date())
    const { port } = await serve((_request, response) => void response.end('never'), { key: keyPem, cert: certificatePem })
    expect(await answer(await agent(), `https://127.0.0.1:${port}/x.qcow2`)).toMatchObject({
      state: 'failed',
      reason: 'ImageTlsError',
      message: expect.stringContaining('self-signed certificate'),
    })
  })

  test('reports it if only one side uses TLS', async () => {
    const { keyPem, certificatePem } = await selfSignedCertificate('localhost', new Date())
    const plain = await serve((_request, response) => void response.end('x'))
    const tls = await serve((_request, response) => void response.end('x'), { key: keyPem, cert: certificatePem })
    const client = await agent()
    expect(await answer(client, `https://127.0.0.1:${plain.port}/x`)).toMatchObject({ state: 'failed', reason: 'ImageTlsError' })
    expect(await answer(client, `http://127.0.0.1:${tls.port}/x`)).toMatchObject({ state: 'preparing', reason: 'ImageRetry' })
  })

  test('to an address that is not public is rejected with the same message, whether or not a server listens there', async () => {
    const open = await serve((_request, response) => void response.end('x'))
    const client = await agent({ allowHosts: [] })
    const said = async (source: string): Promise<string> => {
      const status = await answer(client, source)
      expect(status).toMatchObject({ state: 'failed', reason: 'ImageHostRefused' })
      return 'message' in status ? status.message.replaceAll(source, 'URL').replaceAll(/:\d+/g, ':PORT') : ''
    }
    const openPort = await said(`http://127.0.0.1:${open.port}/x`)
    expect(await said('http://127.0.0.1:9/x')).toBe(openPort)
    await said(`http://localhost:${open.port}/x`)
    await said(`http://[::1]:${open.port}/x`)
    await said(`http://[::ffff:127.0.0.1]:${open.port}/x`)
    await said(`http://2130706433:${open.port}/x`)
    await said('http://169.254.169.254/latest/meta-data/')
    expect(open.connections()).toBe(0)
  })

  test('is not led by a redirect to where it may not go', async () => {
    const inside = await serve((_request, response) => void response.end('x'))
    const location = `http://127.0.0.1:${inside.port}/x`
    const mirror = await serve((_request, response) => void response.writeHead(302, { location }).end())
    const client = await agent({ allowHosts: [{ host: '127.0.0.1', prefix: undefined, port: mirror.port }] })
    expect(await answer(client, `http://127.0.0.1:${mirror.port}/x`)).toMatchObject({ state: 'failed', reason: 'ImageHostRefused' })
    expect([mirror.connections(), inside.connections()]).toEqual([1, 0])
  })
})
