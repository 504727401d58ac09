import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ControlServer } from '../../runner/control-server.ts'
import { runnerFiles } from '../../src/adapters/node/runner-files.ts'
import { unixSockets } from '../../src/adapters/node/unix-sockets.ts'
import { frameDecoder } from '../../src/api/wire/frames.ts'
import { type RunnerStatus, runnerStatus } from '../../src/api/wire/runner-control.ts'
import type { FdConnection } from '../../src/ports/fd-socket.ts'
import { uid } from './runner-fakes.ts'

let directory = ''
const servers: ControlServer[] = []

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'svrt-control-'))
})
afterEach(async () => {
  for (const server of servers.splice(0)) server.close()
  await rm(directory, { recursive: true })
})

const status: RunnerStatus = runnerStatus.parse({
  uid,
  phase: 'Running',
  message: '',
  accelerator: 'tcg',
  qemuStatus: 'running',
  launchHash: '',
  release: '0.1.0',
  startedAt: '2026-01-01T00:00:00Z',
  restarts: 0,
  hardening: { uid: 30702, capEff: '0', capBnd: '0', noNewPrivs: true, seccomp: 2 },
})

function aServer(changes: { message?: string; problems?: readonly string[]; powerOff?: () => void } = {}): ControlServer {
  const server = new ControlServer({
    sockets: unixSockets,
    files: runnerFiles,
    path: join(directory, 'control.sock'),
    uid,
    status: () => Promise.resolve({ ...status, message: changes.message ?? '' }),
    live: async () => changes.problems ?? [],
    powerOff: changes.powerOff ?? (() => undefined),
    guestPort: () => Promise.resolve('silent'),
    control: (action) => (action === 'reset' ? Promise.reject(new Error('the guest does not run')) : Promise.resolve()),
    exec: (command) => Promise.resolve({ kind: 'exited', code: command.length }),
  })
  servers.push(server)
  return server
}

interface Peer {
  readonly connection: FdConnection
  next(): Promise<Record<string, unknown> | 'closed'>
}

async function connect(): Promise<Peer> {
  const connection = await unixSockets.connect(join(directory, 'control.sock'))
  const decoder = frameDecoder()
  const came: (Record<string, unknown> | 'closed')[] = []
  let wake: () => void = () => undefined
  connection.onData((bytes) => {
    came.push(...(decoder.push(bytes) as Record<string, unknown>[]))
    wake()
  })
  connection.onClose(() => {
    came.push('closed')
    wake()
  })
  return {
    connection,
    async next() {
      for (;;) {
        const first = came.shift()
        if (first) return first
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    },
  }
}

function ask(peer: Peer, text: string): Promise<Record<string, unknown> | 'closed'> {
  peer.connection.send(Buffer.from(`${text}\n`))
  return peer.next()
}

test('it says which VM it is before anything is asked, and answers with the id of the request', async () => {
  await aServer().offer()
  const peer = await connect()
  expect(await peer.next()).toEqual({ type: 'hello', protocol: 'swarmvirt.runner-control', version: 1, uid })
  expect(await ask(peer, '{"type": "status", "id": 7}')).toEqual({ type: 'status', id: 7, status })
})

test('power-off is taken at once', async () => {
  let pressed = 0
  await aServer({ powerOff: () => (pressed += 1) }).offer()
  const peer = await connect()
  await peer.next()
  expect(await ask(peer, '{"type": "powerOff", "id": 1}')).toEqual({ type: 'ok', id: 1 })
  expect(pressed).toBe(1)
})

test('an unknown request is answered, and an invalid frame closes the connection', async () => {
  await aServer().offer()
  const peer = await connect()
  await peer.next()
  expect(await ask(peer, '{"type": "selfDestruct", "id": 3}')).toMatchObject({ type: 'error', id: 3 })
  expect(await ask(peer, '{"type": 1}')).toMatchObject({ type: 'error', id: null })
  expect(await ask(peer, 'no JSON')).toBe('closed')
})

test('connections and requests beyond a few are cut', async () => {
  await aServer().offer()
  const peers = await Promise.all(Array.from({ length: 9 }, () => connect()))
  const first = await Promise.all(peers.map((peer) => peer.next()))
  expect(first.filter((message) => message === 'closed')).toHaveLength(1)
  const [peer] = peers
  if (!peer) return expect.fail('there are peers')
  const flood = await ask(peer, Array.from({ length: 100 }, (_, id) => `{"type": "status", "id": ${id}}`).join('\n'))
  expect(flood).toBe('closed')
})

test('a runner that waits leaves the socket to the one that answers there; the one with the lease takes it', async () => {
  const [running, waiting] = [aServer({ message: 'first' }), aServer({ message: 'second' })]
  const whoAnswers = async (): Promise<unknown> => {
    const peer = await connect()
    await peer.next()
    const answer = await ask(peer, '{"type": "status", "id": 1}')
    peer.connection.close()
    return answer === 'closed' ? answer : (answer['status'] as RunnerStatus).message
  }
  await running.offer()
  await waiting.offer()
  expect(await whoAnswers()).toBe('first')
  await waiting.claim()
  expect(await whoAnswers()).toBe('second')
  running.close()
  expect(await whoAnswers()).toBe('second')
  waiting.close()
  await running.offer()
})

test('the socket of a killed runner is taken over, and another file is not removed', async () => {
  const dead = aServer()
  await dead.offer()
  dead.close()
  await aServer().offer()
  const peer = await connect()
  expect(await peer.next()).toMatchObject({ type: 'hello' })

  await rm(join(directory, 'control.sock'))
  await writeFile(join(directory, 'control.sock'), 'a file')
  await expect(aServer().offer()).rejects.toThrow('is not a socket')
})
