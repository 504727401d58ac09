import { createHash, timingSafeEqual } from 'node:crypto'
import fastify, { type FastifyInstance } from 'fastify'
import { controllerApiVersion } from '../api/wire/controller-api.ts'
import type { Metrics } from '../ports/metrics.ts'
import type { StatusView } from '../ports/status-view.ts'
import { rawConnections } from './raw-connections.ts'

export interface ApiOptions {
  /** 0 takes a free one. */
  readonly port: number
  /** PEM. */
  readonly key: string
  readonly certificate: string
  readonly token: string
  readonly release: string
}

export interface Listening {
  readonly port: number
  close(): Promise<void>
}

/** Nothing is ever sent to these listeners but a request line and headers. */
const limits = { bodyLimit: 1_024, requestTimeout: 10_000, connectionTimeout: 30_000, routerOptions: { maxParamLength: 64 } }
/** Far more than scrapes and people need, and few enough that callers who say nothing take no descriptor from the rest of the program. */
const maxConnections = 256
const handshakeTimeout = 5_000

/** The status API: TLS, and a bearer token before anything else, unknown paths included. Throws where the certificate or token is unusable. */
export async function listenApi(options: ApiOptions, view: StatusView): Promise<Listening> {
  if (options.token.length < 16) throw new Error('the API token has fewer than 16 characters')
  const server = fastify({ ...limits, https: { key: options.key, cert: options.certificate, minVersion: 'TLSv1.2', handshakeTimeout } })
  const isAllowed = tokenCheck(options.token)
  server.addHook('onRequest', async (request, reply) => {
    if (isAllowed(request.headers.authorization)) return
    await reply
      .code(401)
      .header('www-authenticate', 'Bearer')
      .send(problem('Unauthorized', 'send "Authorization: Bearer TOKEN" with the API token'))
  })
  routes(server, view, options.release)
  return start(server, options.port)
}

/** Metrics and health: open, and nothing in them is a secret. */
export async function listenMetrics(port: number, view: StatusView, metrics: Metrics): Promise<Listening> {
  const server = fastify(limits)
  server.get('/metrics', async (_request, reply) => {
    const { contentType, text } = await metrics.expose()
    return reply.header('content-type', contentType).send(text)
  })
  server.get('/healthz', async (_request, reply) => reply.type('text/plain').send('ok\n'))
  server.get('/readyz', async (_request, reply) => {
    const { ok, message } = view.ready()
    return reply
      .code(ok ? 200 : 503)
      .type('text/plain')
      .send(ok ? 'ok\n' : `${message}\n`)
  })
  return start(server, port)
}

function routes(server: FastifyInstance, view: StatusView, release: string): void {
  server.get('/api/v1/version', async () => ({ version: controllerApiVersion, release }))
  server.get('/api/v1/vms', async () => ({ vms: view.vms() }))
  server.get<{ Params: { name: string } }>('/api/v1/vms/:name', async (request, reply) => {
    const vm = view.vm(request.params.name)
    return vm ?? reply.code(404).send(problem('NotFound', 'no VM of this name is declared or known'))
  })
  server.get('/api/v1/nodes', async () => ({ nodes: view.nodes() }))
  server.get('/api/v1/sources', async () => view.sources())
  server.setNotFoundHandler(async (_request, reply) => reply.code(404).send(problem('NotFound', 'there is nothing at this path')))
}

async function start(server: FastifyInstance, port: number): Promise<Listening> {
  server.setErrorHandler(async (error: { statusCode?: number }, _request, reply) => {
    const status = error.statusCode ?? 500
    return reply
      .code(status)
      .send(status < 500 ? problem('BadRequest', 'the request is not understood') : problem('Internal', 'internal error'))
  })
  const connections = rawConnections(server.server)
  server.server.maxConnections = maxConnections
  await server.listen({ port, host: '::' })
  const address = server.server.address()
  return { port: address !== null && typeof address === 'object' ? address.port : port, close: () => close(server, connections) }
}

/** Connections that are kept open would hold a stop up. */
async function close(server: FastifyInstance, connections: ReturnType<typeof rawConnections>): Promise<void> {
  const closed = server.close()
  connections.cut()
  await closed
}

/** Compares digests, so that the time says nothing about the token, its length included. */
function tokenCheck(token: string): (header: string | undefined) => boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
  const expected = digest(`Bearer ${token}`)
  return (header) => header !== undefined && timingSafeEqual(digest(header), expected)
}

function problem(reason: string, message: string): { reason: string; message: string } {
  return { reason, message }
}
