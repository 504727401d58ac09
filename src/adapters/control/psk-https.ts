import { createServer, Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import type { IncomingMessage, RequestOptions, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { ControlKey } from '../../api/control-key.ts'
import type { AnswerControl, ControlAnswer, ControlListener } from '../../ports/control-listener.ts'
import { PortError } from '../../ports/errors.ts'
import type { Log } from '../../ports/log.ts'
import { limitConnections, type LimitedConnections } from '../process/connection-limits.ts'

/**
 * HTTPS with a pre-shared key (TLS 1.2, ECDHE-PSK, RFC 5489): encrypted, forward secret, no certificates to manage. TLS 1.3 is off, since Node's
 * `pskCallback` only supports TLS 1.2 suites.
 */
const tlsOptions = { ciphers: 'ECDHE-PSK-CHACHA20-POLY1305', minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' } as const
/** Enough for a controller, its replacement, and probes between agents. A handshake proves the key. */
const connectionLimits = { total: 256, reserve: 64, perAddress: 32, unprovenMs: 10_000 } as const
const handshakeTimeoutMs = 5_000
const requestTimeoutMs = 30_000
const keepAliveMs = 60_000

const encoded = (key: ControlKey): Buffer => Buffer.from(key.hex, 'hex')

export interface PskServerOptions {
  readonly keys: readonly ControlKey[]
  readonly host: string
  /** 0 selects a free port. */
  readonly port: number
  readonly maxBodyBytes: number
  readonly answer: AnswerControl
  readonly log: Log
}

/** Listens. Rejects if the port cannot be opened. No malformed request ends the process. */
export function listenPsk(options: PskServerOptions): Promise<ControlListener> {
  const known = new Map(options.keys.map((key) => [key.id, encoded(key)]))
  const server = createServer({ ...tlsOptions, handshakeTimeout: handshakeTimeoutMs, pskCallback: (_socket, id) => known.get(id) ?? null })
  const connections = limitConnections(server, connectionLimits)
  server.on('secureConnection', (socket) => connections.proven(socket))
  server.headersTimeout = requestTimeoutMs
  server.requestTimeout = requestTimeoutMs
  server.keepAliveTimeout = keepAliveMs
  server.on('request', (request, response) => void respond(options, request, response))
  server.on('tlsClientError', (error) => options.log.debug({ error: error.message }, 'A client failed the TLS handshake'))
  server.on('clientError', (_error, socket) => socket.destroy())
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host: options.host, port: options.port }, () => {
      server.off('error', reject)
      server.on('error', (error) => options.log.error({ error: error.message }, 'The control listener failed'))
      resolve({ port: (server.address() as AddressInfo).port, close: () => closeServer(server, connections) })
    })
  })
}

function closeServer(server: Server, connections: LimitedConnections): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    connections.cut()
  })
}

async function respond(options: PskServerOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const gone = new AbortController()
  response.once('close', () => gone.abort(new PortError('Unavailable', 'the client disconnected')))
  try {
    const body = await readBody(request, options.maxBodyBytes)
    const path = (request.url ?? '/').split('?', 1)[0] ?? '/'
    const answer =
      body === undefined
        ? tooLong(options.maxBodyBytes)
        : await options.answer({ method: request.method ?? 'GET', path, body, signal: gone.signal })
    send(response, answer, body === undefined)
  } catch (error) {
    if (gone.signal.aborted) return
    options.log.error({ error: String(error), path: request.url }, 'A control request failed')
    send(response, { status: 500, body: { reason: 'InternalError', message: 'the agent could not answer; see its log' } }, false)
  }
}

function tooLong(limit: number): ControlAnswer {
  return { status: 400, body: { reason: 'BodyTooLong', message: `the body must have at most ${limit} bytes` } }
}

function send(response: ServerResponse, answer: ControlAnswer, thenClose: boolean): void {
  if (response.headersSent || response.destroyed) return
  const bytes = Buffer.from(JSON.stringify(answer.body))
  const headers = { 'content-type': 'application/json', 'content-length': bytes.length, ...(thenClose ? { connection: 'close' } : {}) }
  response.writeHead(answer.status, headers).end(bytes)
}

/** Reads the whole body as text. Undefined if it is longer than `limit`. Rejects if the stream fails. */
async function readBody(stream: IncomingMessage, limit: number): Promise<string | undefined> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of stream.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > limit) return undefined
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

export interface PskClientOptions {
  readonly address: string
  readonly port: number
  /** The client sends the first key. */
  readonly keys: readonly [ControlKey, ...ControlKey[]]
  readonly maxAnswerBytes: number
}

export interface PskCall {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE'
  readonly path: string
  readonly body?: object
  readonly timeoutMs: number
  readonly signal?: AbortSignal | undefined
}

export interface PskClient {
  /** Throws PortError `Unavailable` without a complete answer, and the signal's reason if it was aborted. */
  call(call: PskCall): Promise<{ readonly status: number; readonly body: string }>
  /** Closes idle and busy connections. */
  close(): void
}

export function pskClient(options: PskClientOptions): PskClient {
  const [key] = options.keys
  const agent = new HttpsAgent({ keepAlive: true, maxSockets: 8, maxFreeSockets: 2 })
  const target: RequestOptions & { pskCallback: () => { psk: Buffer; identity: string }; checkServerIdentity: () => undefined } = {
    ...tlsOptions,
    agent,
    host: options.address,
    port: options.port,
    pskCallback: () => ({ psk: encoded(key), identity: key.id }),
    checkServerIdentity: () => undefined,
  }
  return {
    async call(call) {
      const deadline = AbortSignal.timeout(call.timeoutMs)
      const signal = call.signal ? AbortSignal.any([call.signal, deadline]) : deadline
      try {
        return await callOnce(target, call, options.maxAnswerBytes, signal)
      } catch (error) {
        if (call.signal?.aborted) throw call.signal.reason
        if (deadline.aborted) throw unavailable(options, `did not answer within ${call.timeoutMs} ms`, error)
        throw unavailable(options, explain(error), error)
      }
    },
    close: () => agent.destroy(),
  }
}

function unavailable(options: PskClientOptions, why: string, cause: unknown): PortError {
  return new PortError('Unavailable', `the agent at ${options.address}:${options.port} ${why}`, { cause })
}

function explain(error: unknown): string {
  const { code = '', message = '' } = error as { code?: string; message?: string }
  // The sixth field of OpenSSL's error line has the reason: `write EPROTO 40…:error:0A…:SSL routines:ssl3_read_bytes:ssl/tls alert bad record mac:…`.
  const alert = /:SSL routines:[^:]*:([^:]*)/.exec(message)?.[1]
  if (code === 'ECONNREFUSED') return 'refused the connection; is its task running?'
  if (code.startsWith('ERR_SSL') || alert !== undefined || /handshake/i.test(message)) {
    return `failed the handshake; does it have the same control key? (${alert ?? message})`
  }
  return `did not answer: ${message || code}`
}

/**
 * The server may have closed a kept connection as the request was sent. Only then, the call is repeated on a new connection. All calls are
 * idempotent.
 */
async function callOnce(
  target: RequestOptions,
  call: PskCall,
  limit: number,
  signal: AbortSignal,
): Promise<{ status: number; body: string }> {
  const reuse = { stale: false }
  try {
    return await exchange(target, call, limit, signal, reuse)
  } catch (error) {
    if (!reuse.stale || signal.aborted) throw error
    return await exchange(target, call, limit, signal, reuse)
  }
}

function exchange(
  target: RequestOptions,
  call: PskCall,
  limit: number,
  signal: AbortSignal,
  reuse: { stale: boolean },
): Promise<{ status: number; body: string }> {
  const bytes = call.body === undefined ? undefined : Buffer.from(JSON.stringify(call.body))
  const headers = bytes === undefined ? {} : { 'content-type': 'application/json', 'content-length': bytes.length }
  return new Promise((resolve, reject) => {
    const request = httpsRequest({ ...target, method: call.method, path: call.path, headers, signal }, (response) => {
      response.once('aborted', () => reject(new Error('the answer is incomplete')))
      readBody(response, limit).then((body) => {
        if (body !== undefined) return resolve({ status: response.statusCode ?? 0, body })
        request.destroy()
        reject(new Error(`the answer is longer than ${limit} bytes`))
      }, reject)
    })
    request.once('error', (error: NodeJS.ErrnoException) => {
      reuse.stale = request.reusedSocket && (error.code === 'ECONNRESET' || error.code === 'EPIPE')
      reject(error)
    })
    request.end(bytes)
  })
}
