import { createServer, type Socket } from 'node:net'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { tcpConnect } from '../../../src/adapters/node/tcp-connect.ts'
import { serviceProbe } from '../../../src/agent/service-probe.ts'
import { type LanProbe, probeRequest } from '../../../src/api/wire/agent-api.ts'

function request(kind: LanProbe['kind'], path?: string): LanProbe {
  const common = { version: 1, kind, bridge: 'br0', ip: '192.168.50.42', port: 80, timeoutMs: 2_000 } as const
  return path === undefined ? common : { ...common, path }
}

test.each<[string, 'http' | 'ssh', string, string]>([
  ['status 200', 'http', 'HTTP/1.1 200 OK\r\nA: b\r\n', 'reached HttpAnswered'],
  ['HTTP/1.0 without a phrase', 'http', 'HTTP/1.0 204\r\n', 'reached HttpAnswered'],
  [
    'a redirect to another host, which is not followed',
    'http',
    'HTTP/1.1 302 Found\r\nLocation: http://10.0.0.1/\r\n',
    'reached HttpAnswered',
  ],
  ['status 503', 'http', 'HTTP/1.1 503 Busy\r\n', 'unreached HttpStatus'],
  ['status 199', 'http', 'HTTP/1.1 199 x\r\n', 'unreached HttpStatus'],
  ['a status of four digits', 'http', 'HTTP/1.1 2000 x\r\n', 'unreached NotHttp'],
  ['HTTP/2', 'http', 'HTTP/2 200\r\n', 'unreached NotHttp'],
  ['half of a status line', 'http', 'HTTP/1.1 20', 'unreached NotHttp'],
  ['an SSH server', 'http', 'SSH-2.0-OpenSSH_9.2\r\n', 'unreached NotHttp'],
  ['nothing', 'http', '', 'unreached NoAnswer'],
  ['an SSH banner', 'ssh', 'SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n', 'reached SshBanner'],
  ['an SSH banner after other lines', 'ssh', 'Welcome\r\nto us\r\nSSH-2.0-dropbear\r\n', 'reached SshBanner'],
  ['an SSH 1.99 banner', 'ssh', 'SSH-1.99-old\n', 'reached SshBanner'],
  ['SSH 1.5', 'ssh', 'SSH-1.5-old\r\n', 'unreached NotSsh'],
  ['half of a banner', 'ssh', 'SSH-2.0-Ope', 'unreached NotSsh'],
  ['a web server', 'ssh', 'HTTP/1.1 400 Bad Request\r\n', 'unreached NotSsh'],
  ['nothing', 'ssh', '', 'unreached NoAnswer'],
])('%s is judged for a probe of kind %s', (_what, kind, received, verdict) => {
  const { outcome, reason } = serviceProbe(request(kind))?.judge(received, 'web') ?? { outcome: '', reason: '' }
  expect(`${outcome} ${reason}`).toBe(verdict)
})

test('a banner with control characters reaches no terminal', () => {
  expect(serviceProbe(request('ssh'))?.judge('SSH-2.0-\u001b[2Jx\r\n', 'web').message).toBe('web sent SSH-2.0- [2Jx')
})

test('a path with spaces or line breaks is no request', () => {
  expect(probeRequest.safeParse(request('http', '/healthz?full=1')).success).toBe(true)
  for (const path of ['healthz', '/a b', '/a\r\nHost: x', '/ü']) expect(probeRequest.safeParse(request('http', path)).success).toBe(false)
})

const open: (() => void)[] = []
afterEach(() => {
  for (const close of open.splice(0)) close()
})

async function serverThat(answers: (socket: Socket) => void): Promise<number> {
  const server = createServer((socket) => {
    open.push(() => socket.destroy())
    socket.on('error', () => undefined)
    answers(socket)
  })
  open.push(() => server.close())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

const talk = { send: 'GET / HTTP/1.1\r\n\r\n', maxBytes: 64, isEnough: (received: string) => received.includes('\n') }

test('an exchange ends with the first line, and what was sent arrives', async () => {
  const port = await serverThat((socket) => socket.on('data', (bytes) => socket.write(`got ${bytes.length}\nmore`)))
  expect(await tcpConnect({ ip: '127.0.0.1', port, timeoutMs: 5_000, talk })).toMatchObject({ kind: 'connected', received: 'got 18\nmore' })
})

test('a guest that sends without end is cut off at the limit', async () => {
  const port = await serverThat((socket) => socket.write('x'.repeat(1_000_000)))
  const outcome = await tcpConnect({ ip: '127.0.0.1', port, timeoutMs: 5_000, talk })
  expect(outcome).toMatchObject({ kind: 'connected', received: 'x'.repeat(64) })
})

test('a guest that says nothing, or hangs up, has said nothing', async () => {
  const silent = await serverThat(() => undefined)
  expect(await tcpConnect({ ip: '127.0.0.1', port: silent, timeoutMs: 100, talk })).toMatchObject({ kind: 'connected', received: '' })
  const rude = await serverThat((socket) => socket.end())
  expect(await tcpConnect({ ip: '127.0.0.1', port: rude, timeoutMs: 5_000, talk })).toMatchObject({ kind: 'connected', received: '' })
})
