import { closeSync, mkdtempSync, openSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execFileSync } from 'node:child_process'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { fdSockets } from '../../../src/adapters/linux/fd-sockets.ts'
import { loadLibc, pinned } from '../../../src/adapters/linux/libc.ts'
import type { FdConnection, FdListener } from '../../../src/ports/fd-socket.ts'

const sockets = fdSockets()
let dir: string
let open: { close(): void }[]

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'swarmvirt-fd-'))
  open = []
})
afterEach(() => {
  for (const each of open) each.close()
  rmSync(dir, { recursive: true })
})

const openDescriptors = (): number => readdirSync('/proc/self/fd').length

async function pair(): Promise<{ client: FdConnection; server: FdConnection; listener: FdListener }> {
  const path = join(dir, 's.sock')
  const accepted = Promise.withResolvers<FdConnection>()
  const listener = await sockets.listen(path, 0o660, accepted.resolve)
  const client = await sockets.connect(path)
  const server = await accepted.promise
  open.push(client, server, listener)
  return { client, server, listener }
}

function next(connection: FdConnection): Promise<{ text: string; fds: readonly number[] }> {
  return new Promise((resolve) => connection.onData((bytes, fds) => resolve({ text: Buffer.from(bytes).toString(), fds })))
}

const closed = (connection: FdConnection): Promise<Error | undefined> => new Promise((resolve) => connection.onClose(resolve))

describe('sockets that carry descriptors', () => {
  it('hands an open file over, and the copy is closed on exec', async () => {
    const { client, server } = await pair()
    writeFileSync(join(dir, 'file'), 'content')
    const mine = openSync(join(dir, 'file'), 'r')
    client.send(Buffer.from('here\n'), [mine, mine])
    await client.flushed()
    closeSync(mine)
    const { text, fds } = await next(server)
    expect(text).toBe('here\n')
    expect(fds).toHaveLength(2)
    expect(readFileSync(fds[0] ?? -1, 'utf8')).toBe('content')
    // O_CLOEXEC is 02000000 in fdinfo's octal flags.
    expect(readFileSync(`/proc/self/fdinfo/${fds[1]}`, 'utf8')).toMatch(/flags:\s+02[0-7]{6}/)
    for (const fd of fds) closeSync(fd)
  })

  it('keeps order and loses nothing when the peer reads late', async () => {
    const { client, server } = await pair()
    const sent = Buffer.alloc(900_000, 'abcdefghi')
    client.send(sent.subarray(0, 400_000))
    client.send(sent.subarray(400_000))
    const chunks: Uint8Array[] = []
    await new Promise<void>((resolve) => {
      server.onData((bytes) => {
        chunks.push(bytes)
        if (chunks.reduce((sum, each) => sum + each.length, 0) === sent.length) resolve()
      })
    })
    await client.flushed()
    expect(Buffer.concat(chunks).equals(sent)).toBe(true)
  })

  it('cuts a peer off that reads nothing', async () => {
    const { client } = await pair()
    const end = closed(client)
    for (let i = 0; i < 40; i++) client.send(Buffer.alloc(60_000))
    expect((await end)?.message).toContain('does not read')
    await expect(client.flushed()).rejects.toThrow('does not read')
  })

  it('tells both sides when one closes', async () => {
    const { client, server } = await pair()
    server.onData(() => undefined)
    client.close()
    client.close()
    expect(await closed(client)).toBeUndefined()
    expect(await closed(server)).toBeUndefined()
  })

  it('gives back what came before the peer closed', async () => {
    const { client, server } = await pair()
    client.send(Buffer.from('last words'))
    await client.flushed()
    client.close()
    expect((await next(server)).text).toBe('last words')
    await closed(server)
  })

  it('closes the connection and every descriptor when more arrive than fit', async () => {
    const accepted = Promise.withResolvers<FdConnection>()
    open.push(await sockets.listen(join(dir, 'raw.sock'), 0o600, accepted.resolve))
    const raw = connectRaw(join(dir, 'raw.sock'))
    const server = await accepted.promise
    const end = closed(server)
    server.onData(() => expect.unreachable('data of a message whose descriptors were lost'))
    const fds = Array.from({ length: 18 }, () => openSync('/dev/null', 'r'))
    const before = openDescriptors()
    sendRaw(raw, fds)
    expect((await end)?.message).toContain('descriptors')
    expect(openDescriptors()).toBe(before - 1)
    for (const fd of [...fds, raw]) closeSync(fd)
  })

  it('closes descriptors that came with nobody to take them', async () => {
    const { client, server } = await pair()
    const fd = openSync('/dev/null', 'r')
    client.send(Buffer.from('x'), [fd])
    await client.flushed()
    closeSync(fd)
    const before = openDescriptors()
    server.close()
    expect(openDescriptors()).toBe(before - 1)
  })

  it('refuses to connect where no socket is, and where nobody listens', async () => {
    await expect(sockets.connect(join(dir, 'none'))).rejects.toMatchObject({ kind: 'NotFound' })
    const { listener } = await pair()
    listener.close()
    await expect(sockets.connect(join(dir, 's.sock'))).rejects.toMatchObject({ kind: 'Unavailable' })
    await expect(sockets.connect(`/${'x'.repeat(200)}`)).rejects.toMatchObject({ kind: 'Invalid' })
  })

  it('replaces an old socket with the mode it was given, and nothing else', async () => {
    await pair()
    const again = await sockets.listen(join(dir, 's.sock'), 0o660, () => undefined)
    open.push(again)
    expect(statSync(join(dir, 's.sock')).mode & 0o777).toBe(0o660)
    writeFileSync(join(dir, 'precious'), 'x')
    await expect(sockets.listen(join(dir, 'precious'), 0o660, () => undefined)).rejects.toMatchObject({ kind: 'Invalid' })
    expect(readFileSync(join(dir, 'precious'), 'utf8')).toBe('x')
  })

  it('lets a process end that closed its sockets, and one that just exits', () => {
    const program = (last: string): string => `
      import { fdSockets } from ${JSON.stringify(join(import.meta.dirname, '../../../src/adapters/linux/fd-sockets.ts'))}
      const listener = await fdSockets().listen(${JSON.stringify(join(dir, 'p.sock'))}, 0o600, () => {})
      setTimeout(() => { ${last} }, 20)`
    for (const last of ['listener.close()', 'process.exit(0)'])
      expect(
        execFileSync(process.execPath, ['--input-type=module-typescript', '-e', program(last)], { timeout: 10_000, encoding: 'utf8' }),
      ).toBe('')
  })
})

/** A sender past the limit that our own keeps. */
function connectRaw(path: string): number {
  const libc = loadLibc()
  const fd = libc.socket(1, 1, 0)
  libc.connect(fd, Buffer.concat([Buffer.from([1, 0]), Buffer.from(path), Buffer.from([0])]))
  return fd
}

function sendRaw(fd: number, fds: readonly number[]): void {
  const libc = loadLibc()
  const data = pinned(1)
  const iovec = pinned(16)
  const control = pinned(16 + fds.length * 4 + 4)
  const header = pinned(56)
  iovec.writeBigUInt64LE(libc.address(data), 0)
  iovec.writeBigUInt64LE(1n, 8)
  header.writeBigUInt64LE(libc.address(iovec), 16)
  header.writeBigUInt64LE(1n, 24)
  header.writeBigUInt64LE(libc.address(control), 32)
  header.writeBigUInt64LE(BigInt(control.length), 40)
  control.writeBigUInt64LE(BigInt(16 + fds.length * 4), 0)
  control.writeInt32LE(1, 8)
  control.writeInt32LE(1, 12)
  for (const [index, fd] of fds.entries()) control.writeInt32LE(fd, 16 + index * 4)
  libc.sendmsg(fd, header, 0)
}
