import { createHash, timingSafeEqual } from 'node:crypto'
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { z } from 'zod'
import { vmNameField } from '../../api/names.ts'
import { controllerApiVersion } from '../../api/wire/controller-api.ts'
import { powerVerbs } from '../../api/power-verbs.ts'
import type { ControllerActions } from '../../ports/controller-actions.ts'
import { PortError } from '../../ports/errors.ts'
import type { Inspection } from '../../ports/inspection.ts'
import type { Metrics } from '../../ports/metrics.ts'
import type { StatusView } from '../../ports/status-view.ts'
import { limitConnections, type LimitedConnections } from '../process/connection-limits.ts'
import { vmWatches, type WatchLimits, watchLimits } from './vm-watches.ts'

export interface ApiOptions {
  /** 0 selects a free port. */
  readonly port: number
  /** PEM. */
  readonly key: string
  readonly certificate: string
  readonly token: string
  readonly release: string
  readonly watch?: WatchLimits
}

export interface MetricsOptions {
  /** 0 selects a free port. */
  readonly port: number
  /** Bearer token for metrics. Undefined allows everybody. */
  readonly token: string | undefined
}

export interface Listening {
  readonly port: number
  close(): Promise<void>
}

/** Requests to these listeners are small. A route that accepts a larger body has its own limit. */
const limits = { bodyLimit: 1_024, requestTimeout: 10_000, connectionTimeout: 30_000, routerOptions: { maxParamLength: 64 } }
/**
 * Far more than scrapers and people need, yet few enough that silent clients do not use up the program's descriptors. A client has 10 s for the
 * handshake and its first request.
 */
const connectionLimits = { total: 256, reserve: 64, perAddress: 32, unprovenMs: 10_000 } as const
const handshakeTimeout = 5_000

/** Room for ten thousand names of the maximum length. */
const confirmBodyLimit = 1024 * 1024
const confirmRemovals = z.strictObject({ vms: z.array(vmNameField).min(1).max(10_000) })

/** The controller's API over TLS. It requires a bearer token on all paths, unknown ones included. Throws if the certificate or token is unusable. */
export async function listenApi(
  options: ApiOptions,
  view: StatusView,
  actions: ControllerActions,
  inspection: Inspection,
): Promise<Listening> {
  mustBeLong(options.token, 'API')
  const server = fastify({ ...limits, https: { key: options.key, cert: options.certificate, minVersion: 'TLSv1.2', handshakeTimeout } })
  // The API only accepts JSON.
  server.removeContentTypeParser('text/plain')
  const connections = limitConnections(server.server, connectionLimits)
  const isAllowed = tokenCheck(options.token, connections)
  server.addHook('onRequest', async (request, reply) => {
    if (!isAllowed(request)) await unauthorized(reply, 'API')
  })
  routes(server, view, options.release)
  vmRoutes(server, view, options.watch ?? watchLimits)
  inspectionRoutes(server, inspection)
  actionRoutes(server, actions)
  return start(server, options.port, connections)
}

/** Metrics, with a token if one is set, and health, without one. Throws if the token is too short. */
export async function listenMetrics({ port, token }: MetricsOptions, view: StatusView, metrics: Metrics): Promise<Listening> {
  const server = fastify(limits)
  if (token !== undefined) mustBeLong(token, 'metrics')
  // Health needs no token, so its clients keep their connections.
  const connections = limitConnections(server.server, {
    ...connectionLimits,
    unprovenMs: undefined,
    ...(token === undefined ? { reserve: 0 } : {}),
  })
  const isAllowed = token === undefined ? () => true : tokenCheck(token, connections)
  server.get('/metrics', async (request, reply) => {
    if (!isAllowed(request)) return unauthorized(reply, 'metrics')
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
  return start(server, port, connections)
}

function routes(server: FastifyInstance, view: StatusView, release: string): void {
  server.get('/api/v1/version', async () => ({ version: controllerApiVersion, release }))
  server.get('/api/v1/nodes', async () => ({ nodes: view.nodes() }))
  server.get('/api/v1/sources', async () => view.sources())
  server.setNotFoundHandler(async (_request, reply) => reply.code(404).send(problem('NotFound', 'unknown path')))
}

function vmRoutes(server: FastifyInstance, view: StatusView, limits: WatchLimits): void {
  const watches = vmWatches(view, limits)
  server.get<{ Querystring: { watch?: unknown } }>('/api/v1/vms', { exposeHeadRoute: false }, async (request, reply) => {
    const { watch = 'false' } = request.query
    if (watch === 'false') return { vms: view.vms() }
    if (watch !== 'true') return reply.code(400).send(problem('BadRequest', 'watch must be true or false'))
    if (!watches.open(reply.raw)) return reply.code(503).send(problem('TooManyWatches', `${limits.watchers} watches are already open`))
    return reply.hijack()
  })
  server.get<OfVm>('/api/v1/vms/:name', async (request, reply) => view.vm(request.params.name) ?? unknownVm(reply))
}

function inspectionRoutes(server: FastifyInstance, inspection: Inspection): void {
  server.get('/api/v1/disks', async () => inspection.disks())
  server.get<OfVm>('/api/v1/vms/:name/plan', async (request, reply) => (await inspection.plan(request.params.name)) ?? unknownVm(reply))
  server.get<OfVm>('/api/v1/vms/:name/manifest', async (request, reply) => {
    const declared = inspection.manifest(request.params.name)
    return declared ?? reply.code(404).send(problem('NotFound', 'no valid manifest has a VM of this name'))
  })
}

interface OfVm {
  readonly Params: { readonly name: string }
}

function unknownVm(reply: FastifyReply): FastifyReply {
  return reply.code(404).send(problem('NotFound', 'no VM of this name exists, with or without a manifest'))
}

function actionRoutes(server: FastifyInstance, actions: ControllerActions): void {
  server.post('/-/reload', async (_request, reply) => {
    actions.reload()
    return reply.code(202).send()
  })
  for (const verb of ['suspend', 'resume'] as const) {
    server.post<OfVm>(`/api/v1/vms/:name/${verb}`, async (request, reply) => {
      const answer = await actions[verb](request.params.name)
      if (answer.kind === 'unknown') return unknownVm(reply)
      if (answer.kind === 'refused') return reply.code(409).send(problem('Conflict', answer.message))
      return { suspended: verb === 'suspend', changed: answer.changed }
    })
  }
  for (const verb of powerVerbs) {
    server.post<OfVm>(`/api/v1/vms/:name/${verb}`, async (request, reply) => {
      const answer = await actions.power(request.params.name, verb)
      if (answer.kind === 'unknown') return unknownVm(reply)
      if (answer.kind === 'refused') return reply.code(409).send(problem('Conflict', answer.message))
      return { changed: answer.changed }
    })
  }
  server.post<OfVm>('/api/v1/vms/:name/reconcile', async (request, reply) =>
    actions.reconcile(request.params.name) ? reply.code(202).send() : unknownVm(reply),
  )
  server.post('/api/v1/removals/confirm', { bodyLimit: confirmBodyLimit }, async (request, reply) => {
    const body = confirmRemovals.safeParse(request.body)
    if (!body.success) return reply.code(400).send(problem('BadRequest', 'send {"vms": [NAME…]} with 1 to 10,000 names of VMs'))
    const answer = actions.confirmRemoval(body.data.vms)
    if (answer.kind === 'confirmed') return { confirmed: answer.names }
    const { withheld } = answer
    const message = 'nothing was confirmed: the names do not match the VMs whose removal is blocked now'
    return reply.code(409).send({ ...problem('Conflict', message), withheld })
  })
}

const refusals: Readonly<Record<number, string>> = {
  413: 'the body is too large for this path',
  415: 'the body must be application/json',
}

async function start(server: FastifyInstance, port: number, connections: LimitedConnections): Promise<Listening> {
  server.setErrorHandler(async (error: { statusCode?: number }, _request, reply) => {
    // Docker's message. It contains nothing that an API client may not know.
    if (error instanceof PortError) return reply.code(error.kind === 'Conflict' ? 409 : 503).send(problem(error.kind, error.message))
    const status = error.statusCode ?? 500
    return reply
      .code(status)
      .send(status < 500 ? problem('BadRequest', refusals[status] ?? 'invalid request') : problem('Internal', 'internal error'))
  })
  await server.listen({ port, host: '::' })
  const address = server.server.address()
  return { port: address !== null && typeof address === 'object' ? address.port : port, close: () => close(server, connections) }
}

/** Open keep-alive connections would delay a stop. */
async function close(server: FastifyInstance, connections: LimitedConnections): Promise<void> {
  const closed = server.close()
  connections.cut()
  await closed
}

/** Compares digests, so that the timing reveals nothing about the token, not even its length. */
function tokenCheck(token: string, connections: LimitedConnections): (request: FastifyRequest) => boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
  const expected = digest(`Bearer ${token}`)
  return ({ headers: { authorization }, raw }) => {
    if (authorization === undefined || !timingSafeEqual(digest(authorization), expected)) return false
    connections.proven(raw.socket)
    return true
  }
}

function mustBeLong(token: string, what: 'API' | 'metrics'): void {
  if (token.length < 16) throw new Error(`the ${what} token has fewer than 16 characters`)
}

async function unauthorized(reply: FastifyReply, what: 'API' | 'metrics'): Promise<FastifyReply> {
  const message = `send "Authorization: Bearer TOKEN" with the ${what} token`
  return reply.code(401).header('www-authenticate', 'Bearer').send(problem('Unauthorized', message))
}

function problem(reason: string, message: string): { reason: string; message: string } {
  return { reason, message }
}
