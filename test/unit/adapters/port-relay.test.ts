import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { portRelay } from '../../../src/adapters/node/port-relay.ts'
import type { OpenRelay } from '../../../src/ports/port-relay.ts'

const closers: (() => void)[] = []
afterEach(() => {
  for (const close of closers.splice(0)) close()
})

async function guest(serve: (socket: Socket) => void): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, serve)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  closers.push(() => server.close())
  return (server.address() as AddressInfo).port
}

async function unusedPort(): Promise<number> {
  const server = createServer().listen(0, '0.0.0.0')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

async function relayTo(toPort: number, protocol: 'tcp' | 'udp' = 'tcp'): Promise<{ port: number; relay: OpenRelay }> {
  const port = await unusedPort()
  const relay = await portRelay.open([{ protocol, port, toPort }])
  closers.push(() => relay.close())
  expect(relay.problem).toBe('')
  return { port, relay }
}

test('a client that has finished sending still gets the answer, and the guest sees a loopback address', async () => {
  const toPort = await guest((socket) => {
    let all = ''
    socket.on('data', (bytes) => (all += bytes.toString()))
    socket.on('end', () => socket.end(`${socket.remoteAddress} ${all.toUpperCase()}`))
  })
  const { port } = await relayTo(toPort)
  const client = connect({ host: '127.0.0.1', port, allowHalfOpen: true })
  client.end('hello')
  let answer = ''
  client.on('data', (bytes) => (answer += bytes.toString()))
  await once(client, 'end')
  client.destroy()
  expect(answer).toBe('127.0.0.1 HELLO')
})

test('megabytes arrive unchanged in both directions, also when one side is slow', async () => {
  const sent = Buffer.alloc(8 * 1024 ** 2, 'swarmvirt')
  const toPort = await guest((socket) => socket.pipe(socket))
  const { port } = await relayTo(toPort)
  const client = connect({ host: '127.0.0.1', port })
  client.write(sent)
  const parts: Buffer[] = []
  let length = 0
  for await (const part of client as AsyncIterable<Buffer>) {
    parts.push(part)
    length += part.length
    if (length === sent.length) break
  }
  client.destroy()
  expect(Buffer.concat(parts).equals(sent)).toBe(true)
})

test('a guest that refuses ends the connection of the client', async () => {
  const { port } = await relayTo(await unusedPort())
  const client = connect({ host: '127.0.0.1', port })
  client.on('error', () => undefined)
  const [hadError] = (await once(client, 'close')) as [boolean]
  expect([client.destroyed, typeof hadError]).toEqual([true, 'boolean'])
})

test('one client cannot take more than the limit, and a place is free again when a connection ends', async () => {
  const toPort = await guest(
    (socket) =>
      void socket
        .on('error', () => undefined)
        .on('end', () => socket.end())
        .write('x'),
  )
  const { port } = await relayTo(toPort)
  const open = async (): Promise<Socket | undefined> => {
    const client = connect({ host: '127.0.0.1', port }).on('error', () => undefined)
    closers.push(() => client.destroy())
    const first = await Promise.race([once(client, 'data'), once(client, 'close').then(() => undefined)])
    return first === undefined ? undefined : client
  }
  const clients = await Promise.all(Array.from({ length: 128 }, open))
  expect(clients.every((one) => one !== undefined)).toBe(true)
  expect(await open()).toBeUndefined()
  clients[0]?.destroy()
  let again: Socket | undefined
  // The relay hears of the end a moment later.
  while (again === undefined) again = await open()
})

test('datagrams find their way back to the client that sent them', async () => {
  const server = createSocket('udp4')
  server.on('message', (message, { port, address }) => server.send(`echo ${message.toString()}`, port, address))
  server.bind(0, '127.0.0.1')
  await once(server, 'listening')
  closers.push(() => server.close())
  const { port } = await relayTo(server.address().port, 'udp')
  const ask = async (text: string): Promise<string> => {
    const client = createSocket('udp4')
    client.send(text, port, '127.0.0.1')
    const [answer] = (await once(client, 'message')) as [Buffer]
    client.close()
    return answer.toString()
  }
  expect(await Promise.all(['one', 'two', 'three'].map(ask))).toEqual(['echo one', 'echo two', 'echo three'])
})

test('a port that is taken is reported, and the others are open', async () => {
  const toPort = await guest((socket) => socket.end('hello'))
  const { port } = await relayTo(toPort)
  const other = await unusedPort()
  const relay = await portRelay.open([
    { protocol: 'tcp', port, toPort },
    { protocol: 'tcp', port: other, toPort },
  ])
  closers.push(() => relay.close())
  expect(relay.problem).toMatch(new RegExp(`^port ${port}/tcp cannot be opened: .*EADDRINUSE`))
  const [answer] = (await once(connect({ host: '127.0.0.1', port: other }), 'data')) as [Buffer]
  expect(answer.toString()).toBe('hello')
})
