import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  type ConnectionLimits,
  limitConnections,
  type LimitedConnections,
  networkOf,
} from '../../../src/adapters/process/connection-limits.ts'

const limits: ConnectionLimits = { total: 12, reserve: 4, perAddress: 3, unprovenMs: undefined }
let server: Server
let connections: LimitedConnections
let accepted: Socket[]
let callers: Socket[]

async function listen(with_: ConnectionLimits): Promise<void> {
  server = createServer((socket) => socket.on('error', () => undefined).on('data', () => socket.write('ok')))
  server.on('connection', (socket) => accepted.push(socket))
  connections = limitConnections(server, with_)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
}

beforeEach(() => {
  accepted = []
  callers = []
})
afterEach(() => {
  for (const one of callers) one.destroy()
  connections.cut()
  server.close()
})

/** Every address of 127.0.0.0/8 is one of this host. `let in` where the server answers, `cut` where it closes. */
async function call(localAddress: string): Promise<'let in' | 'cut'> {
  const socket = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', localAddress })
  callers.push(socket)
  socket.on('error', () => undefined)
  socket.write('hello')
  return Promise.race([once(socket, 'data').then(() => 'let in' as const), once(socket, 'close').then(() => 'cut' as const)])
}

async function callTimes(times: number, localAddress: string): Promise<string[]> {
  const answers: string[] = []
  for (let n = 0; n < times; n += 1) answers.push(await call(localAddress))
  return answers
}

function prove(localAddress: string): void {
  const socket = accepted.find((one) => one.remoteAddress === localAddress)
  if (socket === undefined) throw new Error(`no connection from ${localAddress}`)
  connections.proven(socket)
}

describe('a listener that many call', () => {
  it('gives one address no more than its share, and others theirs', async () => {
    await listen(limits)
    expect(await callTimes(5, '127.0.0.2')).toEqual(['let in', 'let in', 'let in', 'cut', 'cut'])
    expect(await call('127.0.0.3')).toBe('let in')
  })

  it('counts no connection that was closed or proven', async () => {
    await listen(limits)
    await callTimes(3, '127.0.0.2')
    prove('127.0.0.2')
    expect(await call('127.0.0.2')).toBe('let in')
    callers[1]?.destroy()
    await once(accepted[1] as Socket, 'close')
    expect(await call('127.0.0.2')).toBe('let in')
  })

  it('lets an address in that showed a token before, while callers without one hold all they may', async () => {
    await listen(limits)
    await call('127.0.0.9')
    prove('127.0.0.9')
    callers[0]?.destroy()
    await once(accepted[0] as Socket, 'close')
    for (const address of ['127.0.0.2', '127.0.0.3', '127.0.0.4']) await callTimes(3, address)
    expect(await call('127.0.0.5')).toBe('cut')
    expect(await call('127.0.0.9')).toBe('let in')
  })

  it('closes a connection that proves nothing in time, and none that did', async () => {
    await listen({ ...limits, unprovenMs: 100 })
    await callTimes(2, '127.0.0.2')
    prove('127.0.0.2')
    await once(callers[1] as Socket, 'close')
    expect(callers[0]?.closed).toBe(false)
  })
})

it.each([
  ['192.0.2.1', '192.0.2.1'],
  ['::ffff:192.0.2.1', '::ffff:192.0.2.1'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
  ['2001:db8::1', '2001:db8:0:0'],
  ['fe80::1%eth0', 'fe80:0:0:0'],
  ['::1', '0:0:0:0'],
  ['', ''],
])('counts %s with its network', (address, network) => {
  expect(networkOf(address)).toBe(network)
})
