import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { PortError } from '../../ports/errors.ts'
import { readBody } from '../process/http-body.ts'
import type { LimitedConnections } from '../process/connection-limits.ts'

export type Answer =
  | { readonly kind: 'json'; readonly status: number; readonly body: unknown }
  | { readonly kind: 'text'; readonly status: number; readonly contentType: string; readonly text: string }
  | { readonly kind: 'empty'; readonly status: number }
  /** The route writes the response itself. */
  | { readonly kind: 'streaming' }

interface ApiCall {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** The `:name` in the path of the route; otherwise empty. */
  readonly name: string
  readonly query: URLSearchParams
  /** The body as JSON; undefined if there is none. */
  readonly body: unknown
}

export interface Route {
  /** HEAD is answered as GET, without the body. */
  readonly method: 'GET' | 'POST'
  /** One segment may be `:name`. */
  readonly path: string
  /** Most requests are small. */
  readonly bodyLimit?: number
  readonly answer: (call: ApiCall) => Answer | Promise<Answer>
}

export interface HttpApi {
  readonly routes: readonly Route[]
  /** Called before anything else, so that a client without a token learns nothing. */
  readonly refuse: (request: IncomingMessage) => Answer | undefined
}

export interface Listening {
  readonly port: number
  close(): Promise<void>
}

const requestTimeoutMs = 10_000
const connectionTimeoutMs = 30_000
const smallBody = 1_024
const longestName = 64

/** Serves the routes on all addresses. Rejects if the port cannot be opened. */
export async function listenHttp(server: Server, connections: LimitedConnections, port: number, api: HttpApi): Promise<Listening> {
  server.headersTimeout = requestTimeoutMs
  server.requestTimeout = requestTimeoutMs
  server.setTimeout(connectionTimeoutMs)
  server.on('request', (request, response) => void respond(api, request, response))
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ port, host: '::' }, resolve)
  })
  return { port: (server.address() as AddressInfo).port, close: () => connections.close() }
}

export function json(body: unknown, status = 200): Answer {
  return { kind: 'json', status, body }
}

export function problem(status: number, reason: string, message: string): Answer {
  return json({ reason, message }, status)
}

async function respond(api: HttpApi, request: IncomingMessage, response: ServerResponse): Promise<void> {
  // A client may be gone before its answer.
  response.on('error', () => undefined)
  try {
    send(response, api.refuse(request) ?? (await answerOf(api.routes, request, response)))
  } catch (error) {
    send(response, problemOf(error))
  }
}

/** Docker's message contains nothing that an API client may not know. */
function problemOf(error: unknown): Answer {
  if (!(error instanceof PortError)) return problem(500, 'Internal', 'internal error')
  return problem(error.kind === 'Conflict' ? 409 : 503, error.kind, error.message)
}

async function answerOf(routes: readonly Route[], request: IncomingMessage, response: ServerResponse): Promise<Answer> {
  const [path = '', query = ''] = (request.url ?? '').split('?', 2)
  const method = request.method === 'HEAD' ? 'GET' : request.method
  for (const route of routes) {
    const name = route.method === method ? nameIn(route.path, path) : undefined
    if (name === undefined) continue
    if (name.length > longestName) return problem(414, 'BadRequest', 'the name in the path is too long')
    const body = method === 'POST' ? await bodyOf(request, route.bodyLimit ?? smallBody) : undefined
    if (body !== undefined && 'refused' in body) return body.refused
    return await route.answer({ request, response, name, query: new URLSearchParams(query), body: body?.value })
  }
  return problem(404, 'NotFound', 'unknown path')
}

/** The segment at `:name`, empty without one; undefined if the path is another one. */
function nameIn(pattern: string, path: string): string | undefined {
  const [wanted, given] = [pattern.split('/'), path.split('/')]
  const isSame = wanted.length === given.length && wanted.every((segment, place) => segment === ':name' || segment === given[place])
  const place = wanted.indexOf(':name')
  return isSame ? decoded(place === -1 ? '' : (given[place] ?? '')) : undefined
}

/** No VM has a name with a broken escape. */
function decoded(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment)
  } catch {
    return undefined
  }
}

type Body = { readonly value: unknown } | { readonly refused: Answer }

async function bodyOf(request: IncomingMessage, limit: number): Promise<Body> {
  const text = await readBody(request, limit)
  if (text === undefined) return { refused: problem(413, 'BadRequest', 'the body is too large for this path') }
  if (text === '') return { value: undefined }
  const [type = ''] = (request.headers['content-type'] ?? '').split(';')
  if (type.trim().toLowerCase() !== 'application/json') {
    return { refused: problem(415, 'BadRequest', 'the body must be application/json') }
  }
  try {
    return { value: JSON.parse(text) as unknown }
  } catch {
    return { refused: problem(400, 'BadRequest', 'the body is not JSON') }
  }
}

function send(response: ServerResponse, answer: Answer): void {
  if (answer.kind === 'streaming' || response.headersSent || response.destroyed) return
  const { status } = answer
  const text = answer.kind === 'json' ? JSON.stringify(answer.body) : answer.kind === 'text' ? answer.text : ''
  response.writeHead(status, {
    'content-length': Buffer.byteLength(text),
    ...(answer.kind === 'empty' ? {} : { 'content-type': answer.kind === 'json' ? 'application/json; charset=utf-8' : answer.contentType }),
    ...(status === 401 ? { 'www-authenticate': 'Bearer' } : {}),
    // Otherwise the rest of the body would still be received.
    ...(status === 413 ? { connection: 'close' } : {}),
  })
  response.end(text)
}
