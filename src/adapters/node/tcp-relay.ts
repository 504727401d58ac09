import { connect, createServer, type Socket } from 'node:net'
import { pipeline } from 'node:stream'
import type { Forward } from '../../ports/port-relay.ts'

/** For all ports of a VM. Each connection costs two sockets and at most 128 KiB of buffers in this process (memory-overhead.ts). */
const maxConnections = 128
/** QEMU accepts at once. Only one that hangs does not. */
const connectTimeoutMs = 10_000
/** The kernel then notices a client that is gone without a word. A silent connection is none: SSH sessions idle for hours. */
const keepAliveMs = 60_000
/** A client that is gone looks like one that has only finished sending, and its guest may never answer. */
const halfClosedMs = 60_000
/** A connection that has been idle this long gives its place to a new one when no other is free. */
const mayReplaceAfterMs = 60_000

/** The connections of all ports of a VM. */
export type Pairs = Set<Pair>

interface Pair {
  readonly client: Socket
  readonly guest: Socket
  lastMs: number
}

/** Relays TCP connections, in both directions and with half-closed ends. Rejects if the port cannot be opened. */
export function tcpRelay({ port, toPort }: Forward, pairs: Pairs): Promise<{ close(): void }> {
  // Both ends stay open when one side has only finished sending.
  const server = createServer({ allowHalfOpen: true, keepAlive: true, keepAliveInitialDelay: keepAliveMs, noDelay: true }, (client) => {
    if (!hasPlace(pairs, performance.now())) return void client.destroy()
    relay(pairs, client, toPort)
  })
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ port, host: '0.0.0.0' }, () => {
      server.off('error', reject)
      // An error of accept(), such as a lack of descriptors, must not end the runner.
      server.on('error', () => undefined)
      resolve({
        close() {
          server.close()
          for (const { client, guest } of pairs) for (const socket of [client, guest]) socket.destroy()
        },
      })
    })
  })
}

function hasPlace(pairs: Pairs, nowMs: number): boolean {
  if (pairs.size < maxConnections) return true
  const [oldest] = [...pairs].toSorted((a, b) => a.lastMs - b.lastMs)
  if (oldest === undefined || nowMs - oldest.lastMs < mayReplaceAfterMs) return false
  pairs.delete(oldest)
  oldest.client.destroy()
  oldest.guest.destroy()
  return true
}

function relay(pairs: Pairs, client: Socket, toPort: number): void {
  const guest = connect({ host: '127.0.0.1', port: toPort, allowHalfOpen: true, noDelay: true })
  const pair: Pair = { client, guest, lastMs: performance.now() }
  pairs.add(pair)
  guest.setTimeout(connectTimeoutMs, () => guest.destroy())
  guest.once('connect', () => guest.setTimeout(0))
  const touched = (): void => void (pair.lastMs = performance.now())
  client.on('data', touched)
  guest.on('data', touched)
  client.once('end', () => guest.setTimeout(halfClosedMs, () => guest.destroy()))
  guest.once('end', () => client.setTimeout(halfClosedMs, () => client.destroy()))
  // A pipeline destroys both ends after an error of one, and stops reading while the other is slow.
  const ended = (socket: Socket) => (error: Error | null | undefined) => {
    if (error != null) socket.destroy()
    if (client.destroyed && guest.destroyed) pairs.delete(pair)
  }
  pipeline(client, guest, ended(guest))
  pipeline(guest, client, ended(client))
  for (const socket of [client, guest]) socket.once('close', () => isOver(pair) && pairs.delete(pair))
}

function isOver({ client, guest }: Pair): boolean {
  return client.destroyed && guest.destroyed
}
