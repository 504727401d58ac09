import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type RequestListener, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { transport } from '../../../src/adapters/docker/transport.ts'
import { linesOf } from '../../../src/adapters/docker/events.ts'

const limits = { timeoutMs: 5_000, signal: undefined }
const open: { server: Server; dir: string }[] = []

afterEach(() => {
  for (const { server, dir } of open.splice(0)) {
    server.closeAllConnections()
    server.close()
    rmSync(dir, { recursive: true })
  }
})

async function daemon(answer: RequestListener): Promise<string> {
  const dir = mkdtempSync(join(tmpdir(), 'sv-transport-'))
  const server = createServer(answer)
  open.push({ server, dir })
  await new Promise<void>((resolve) => server.listen(join(dir, 's'), resolve))
  return `unix://${join(dir, 's')}`
}

it('sends method, query and body, and gives the parsed answer', async () => {
  const endpoint = await daemon((asked, answer) => {
    const chunks: Buffer[] = []
    asked.on('data', (chunk: Buffer) => chunks.push(chunk))
    asked.on('end', () =>
      answer.end(JSON.stringify([asked.method, asked.url, asked.headers['content-type'], Buffer.concat(chunks).toString()])),
    )
  })
  const call = { method: 'POST', path: '/a', query: { version: 7, filters: '{"label":["a=b"]}' }, body: { Name: 'ä' } } as const
  const url = '/a?version=7&filters=%7B%22label%22%3A%5B%22a%3Db%22%5D%7D'
  expect(await transport(endpoint).exchange(call, limits)).toEqual(['POST', url, 'application/json', '{"Name":"ä"}'])
})

it('gives null for an empty answer', async () => {
  const endpoint = await daemon((_asked, answer) => answer.end())
  expect(await transport(endpoint).exchange({ method: 'DELETE', path: '/a' }, limits)).toBeNull()
})

it('rejects with the status and the word of a daemon that refuses, whole answers and streams alike', async () => {
  const endpoint = await daemon((_asked, answer) => answer.writeHead(409).end('{"message":"taken"}'))
  const docker = transport(endpoint)
  const refused = { statusCode: 409, json: { message: 'taken' } }
  await expect(docker.exchange({ method: 'GET', path: '/a' }, limits)).rejects.toMatchObject(refused)
  await expect(docker.open({ method: 'GET', path: '/a' }, limits)).rejects.toMatchObject(refused)
})

it('rejects where the answer is cut off, is no JSON, or never comes', async () => {
  const endpoint = await daemon((asked, answer) => {
    if (asked.url === '/silent') return
    if (asked.url === '/text') return void answer.end('no JSON')
    answer.writeHead(200, { 'content-length': 100 })
    answer.write('[1', () => answer.destroy())
  })
  const docker = transport(endpoint)
  await expect(docker.exchange({ method: 'GET', path: '/cut' }, limits)).rejects.toThrow(/aborted|ECONNRESET/)
  await expect(docker.exchange({ method: 'GET', path: '/text' }, limits)).rejects.toThrow(/JSON/)
  await expect(docker.exchange({ method: 'GET', path: '/silent' }, { timeoutMs: 30, signal: undefined })).rejects.toThrow(
    'no answer in 30 ms',
  )
})

it('ends a call with the reason of its signal, before and while it is under way', async () => {
  const endpoint = await daemon(() => undefined)
  const docker = transport(endpoint)
  const stopping = new AbortController()
  const call = docker.exchange({ method: 'GET', path: '/a' }, { timeoutMs: 5_000, signal: stopping.signal })
  stopping.abort(new Error('being stopped'))
  await expect(call).rejects.toThrow('being stopped')
  await expect(docker.exchange({ method: 'GET', path: '/a' }, { timeoutMs: 5_000, signal: stopping.signal })).rejects.toThrow(
    'being stopped',
  )
})

it('gives a stream as it comes, and ends it with the signal', async () => {
  const endpoint = await daemon((_asked, answer) => void answer.write('one\ntwo\n'))
  const stopping = new AbortController()
  const stream = await transport(endpoint).open({ method: 'GET', path: '/events' }, { timeoutMs: undefined, signal: stopping.signal })
  const lines: string[] = []
  const read = (async () => {
    for await (const line of linesOf(stream)) if (lines.push(line) === 2) stopping.abort(new Error('being stopped'))
  })()
  await expect(read).rejects.toThrow(/aborted|being stopped|ECONNRESET/)
  expect(lines).toEqual(['one', 'two'])
})
