import { createHash, timingSafeEqual } from 'node:crypto'
import { createServer as createHttp, type IncomingMessage } from 'node:http'
import { createServer as createHttps } from 'node:https'
import { z } from 'zod'
import { vmNameField } from '../../api/names.ts'
import { controllerApiVersion } from '../../api/wire/controller-api.ts'
import type { ControllerActions } from '../../ports/controller-actions.ts'
import type { Inspection } from '../../ports/inspection.ts'
import type { Metrics } from '../../ports/metrics.ts'
import type { StatusView } from '../../ports/status-view.ts'
import { limitConnections, type LimitedConnections } from '../process/connection-limits.ts'
import { type Answer, json, type Listening, listenHttp, problem, type Route } from './http-api.ts'
import { vmWatches, type WatchLimits, watchLimits } from './vm-watches.ts'

export type { Listening } from './http-api.ts'

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
  { port, key, certificate: cert, token, release, watch = watchLimits }: ApiOptions,
  view: StatusView,
  actions: ControllerActions,
  inspection: Inspection,
): Promise<Listening> {
  mustBeLong(token, 'API')
  const server = createHttps({ key, cert, minVersion: 'TLSv1.2', handshakeTimeout })
  const connections = limitConnections(server, connectionLimits)
  const isAllowed = tokenCheck(token, connections)
  const routes = [...stateRoutes(view, release), ...vmRoutes(view, watch), ...inspectionRoutes(inspection), ...actionRoutes(actions)]
  return listenHttp(server, connections, port, { routes, refuse: (request) => (isAllowed(request) ? undefined : unauthorized('API')) })
}

/** Metrics, with a token if one is set, and health, without one. Throws if the token is too short. */
export async function listenMetrics({ port, token }: MetricsOptions, view: StatusView, metrics: Metrics): Promise<Listening> {
  if (token !== undefined) mustBeLong(token, 'metrics')
  const server = createHttp()
  // Health needs no token, so its clients keep their connections.
  const connections = limitConnections(server, {
    ...connectionLimits,
    unprovenMs: undefined,
    ...(token === undefined ? { reserve: 0 } : {}),
  })
  const isAllowed = token === undefined ? () => true : tokenCheck(token, connections)
  const routes: readonly Route[] = [
    {
      method: 'GET',
      path: '/metrics',
      async answer({ request }) {
        if (!isAllowed(request)) return unauthorized('metrics')
        return { kind: 'text', status: 200, ...(await metrics.expose()) }
      },
    },
    { method: 'GET', path: '/healthz', answer: () => plain(200, 'ok') },
    {
      method: 'GET',
      path: '/readyz',
      answer() {
        const { ok, message } = view.ready()
        return ok ? plain(200, 'ok') : plain(503, message)
      },
    },
  ]
  return listenHttp(server, connections, port, { routes, refuse: () => undefined })
}

function plain(status: number, line: string): Answer {
  return { kind: 'text', status, contentType: 'text/plain', text: `${line}\n` }
}

function stateRoutes(view: StatusView, release: string): readonly Route[] {
  return [
    { method: 'GET', path: '/api/v1/version', answer: () => json({ version: controllerApiVersion, release }) },
    { method: 'GET', path: '/api/v1/nodes', answer: () => json({ nodes: view.nodes() }) },
    { method: 'GET', path: '/api/v1/sources', answer: () => json(view.sources()) },
  ]
}

function vmRoutes(view: StatusView, limits: WatchLimits): readonly Route[] {
  const watches = vmWatches(view, limits)
  return [
    {
      method: 'GET',
      path: '/api/v1/vms',
      answer({ request, response, query }) {
        const watch = query.getAll('watch').join()
        if (watch === '' || watch === 'false') return json({ vms: view.vms() })
        if (watch !== 'true') return problem(400, 'BadRequest', 'watch must be true or false')
        // A watch has no headers that are known before its events.
        if (request.method === 'HEAD') return problem(404, 'NotFound', 'a watch can only be read with GET')
        if (!watches.open(response)) return problem(503, 'TooManyWatches', `${limits.watchers} watches are already open`)
        return { kind: 'streaming' }
      },
    },
    { method: 'GET', path: '/api/v1/vms/:name', answer: ({ name }) => found(view.vm(name)) },
  ]
}

function inspectionRoutes(inspection: Inspection): readonly Route[] {
  return [
    { method: 'GET', path: '/api/v1/disks', answer: async () => json(await inspection.disks()) },
    { method: 'GET', path: '/api/v1/vms/:name/plan', answer: async ({ name }) => found(await inspection.plan(name)) },
    {
      method: 'GET',
      path: '/api/v1/vms/:name/manifest',
      answer({ name }) {
        const declared = inspection.manifest(name)
        return declared === undefined ? problem(404, 'NotFound', 'no valid manifest has a VM of this name') : json(declared)
      },
    },
  ]
}

function found(value: unknown): Answer {
  return value === undefined ? unknownVm() : json(value)
}

function unknownVm(): Answer {
  return problem(404, 'NotFound', 'no VM of this name exists, with or without a manifest')
}

const accepted: Answer = { kind: 'empty', status: 202 }

function actionRoutes(actions: ControllerActions): readonly Route[] {
  return [
    {
      method: 'POST',
      path: '/-/reload',
      answer() {
        actions.reload()
        return accepted
      },
    },
    ...(['suspend', 'resume'] as const).map(
      (verb): Route => ({
        method: 'POST',
        path: `/api/v1/vms/:name/${verb}`,
        async answer({ name }) {
          const answer = await actions[verb](name)
          if (answer.kind === 'unknown') return unknownVm()
          if (answer.kind === 'refused') return problem(409, 'Conflict', answer.message)
          return json({ suspended: verb === 'suspend', changed: answer.changed })
        },
      }),
    ),
    {
      method: 'POST',
      path: '/api/v1/vms/:name/reconcile',
      answer: ({ name }) => (actions.reconcile(name) ? accepted : unknownVm()),
    },
    { method: 'POST', path: '/api/v1/removals/confirm', bodyLimit: confirmBodyLimit, answer: ({ body }) => confirm(actions, body) },
  ]
}

function confirm(actions: ControllerActions, body: unknown): Answer {
  const read = confirmRemovals.safeParse(body)
  if (!read.success) return problem(400, 'BadRequest', 'send {"vms": [NAME…]} with 1 to 10,000 names of VMs')
  const answer = actions.confirmRemoval(read.data.vms)
  if (answer.kind === 'confirmed') return json({ confirmed: answer.names })
  const message = 'nothing was confirmed: the names do not match the VMs whose removal is blocked now'
  return json({ reason: 'Conflict', message, withheld: answer.withheld }, 409)
}

/** Compares digests, so that the timing reveals nothing about the token, not even its length. */
function tokenCheck(token: string, connections: LimitedConnections): (request: IncomingMessage) => boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
  const expected = digest(`Bearer ${token}`)
  return ({ headers: { authorization }, socket }) => {
    if (authorization === undefined || !timingSafeEqual(digest(authorization), expected)) return false
    connections.proven(socket)
    return true
  }
}

function mustBeLong(token: string, what: 'API' | 'metrics'): void {
  if (token.length < 16) throw new Error(`the ${what} token has fewer than 16 characters`)
}

function unauthorized(what: 'API' | 'metrics'): Answer {
  return problem(401, 'Unauthorized', `send "Authorization: Bearer TOKEN" with the ${what} token`)
}
