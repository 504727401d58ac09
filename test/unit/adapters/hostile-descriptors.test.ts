import { closeSync, mkdtempSync, readdirSync, rmSync, writeSync } from 'node:fs'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { fdSockets } from '../../../src/adapters/linux/fd-sockets.ts'
import { loadLibc, pinned } from '../../../src/adapters/linux/libc.ts'
import type { FdConnection } from '../../../src/ports/fd-socket.ts'

const libc = loadLibc()
const sockets = fdSockets(libc)
/** How long the last close of one of the sockets below takes. */
/** Longer than a test may take: where somebody waits for it, the test is over its time. */
const lingerS = 60
let dir: string
let deaf: Server

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'swarmvirt-fd-'))
  deaf = createServer({ pauseOnConnect: true })
  await new Promise<void>((resolve) => deaf.listen(0, '127.0.0.1', resolve))
})
afterEach(() => {
  deaf.close()
  rmSync(dir, { recursive: true })
})

/** A TCP socket with data that nobody takes, and SO_LINGER: its last close() waits. */
async function lingering(): Promise<number> {
  const address = pinned(16)
  address.writeUInt16LE(2, 0)
  address.writeUInt16BE((deaf.address() as AddressInfo).port, 2)
  address.set([127, 0, 0, 1], 4)
  const fd = libc.socket(2, 1, 0)
  try {
    libc.connect(fd, address)
  } catch {
    // EINPROGRESS.
  }
  await new Promise((resolve) => setTimeout(resolve, 50))
  try {
    for (;;) writeSync(fd, Buffer.alloc(256 * 1024))
  } catch {
    // EAGAIN: full.
  }
  const linger = pinned(8)
  linger.writeInt32LE(1, 0)
  linger.writeInt32LE(lingerS, 4)
  libc.setsockopt(fd, 1, 13, linger)
  return fd
}

/** Sends to a server that closes every connection; resolves when it did. */
async function cutAfter(send: (client: FdConnection) => void): Promise<void> {
  const served = Promise.withResolvers<FdConnection>()
  const listener = await sockets.listen(join(dir, 's.sock'), 0o660, served.resolve)
  const client = await sockets.connect(join(dir, 's.sock'))
  const server = await served.promise
  send(client)
  await new Promise<void>((resolve) => {
    server.onClose(() => resolve())
    server.onData((_bytes, fds) => {
      for (const fd of fds) closeSync(fd)
      server.close()
    })
  })
  client.close()
  listener.close()
}

const openDescriptors = (): number => readdirSync('/proc/self/fd').length

describe('a peer that sends sockets whose last close() waits', () => {
  it.each([1, 20])('holds nobody up with %i of them', async (count) => {
    const fd = await lingering()
    const before = openDescriptors()
    await cutAfter((client) => {
      if (count <= 16) client.send(Buffer.from('x'), [fd])
      // More than a message may carry, over two, of which the kernel may make one.
      else
        for (const part of [16, count - 16])
          client.send(
            Buffer.from('x'),
            Array.from({ length: part }, () => fd),
          )
      closeSync(fd)
    })
    expect(openDescriptors()).toBeLessThanOrEqual(before)
  })

  it('delays nobody with unread data when it is closed', async () => {
    const fd = await lingering()
    const before = openDescriptors()
    await cutAfter((client) => {
      client.send(Buffer.from('x'))
      // A descriptor ends what one read gives, so this one is left behind.
      for (let count = 0; count < 3; count += 1) client.send(Buffer.from('y'), [fd])
      closeSync(fd)
    })
    expect(openDescriptors()).toBeLessThanOrEqual(before)
  })
})
