import type { IncomingMessage } from 'node:http'
import Docker from 'dockerode'
import { PortError } from '../../ports/errors.ts'
import { portErrorOf } from './errors.ts'

/** Calls to a manager without a leader hang; an answer is given in milliseconds. */
const callTimeoutMs = 15_000
/** The newest API whose answers this code was read against. An older daemon's own is taken instead. */
const newestKnown = '1.51'
const oldestUsable = '1.41'

export interface Call {
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** Without version and query. */
  readonly path: string
  readonly query?: Readonly<Record<string, string | number | boolean>>
  readonly body?: unknown
  readonly signal?: AbortSignal | undefined
}

/** The Engine API over dockerode's transport: versioned, cancellable, with PortErrors. */
export interface Engine {
  call(call: Call): Promise<unknown>
  /** As `call`, but a certain 404 is undefined. */
  find(call: Call): Promise<unknown>
  stream(call: Call): Promise<IncomingMessage>
  version(signal?: AbortSignal): Promise<string>
}

/** `endpoint` is `unix:///path` or `tcp://host:port` (a filtering proxy). */
export function dockerEngine(endpoint: string): Engine {
  // Through the transport alone: dockerode's own methods put specs into headers and URLs, and delete keys from what they are given.
  const { modem } = new Docker(transport(endpoint))
  let negotiated: string | undefined

  async function dial(call: Call, path: string, isStream: boolean, limit: AbortSignal | undefined): Promise<unknown> {
    const what = `${call.method} ${call.path}`
    limit?.throwIfAborted()
    return await new Promise((resolve, reject) => {
      const options = {
        // A question mark makes the transport append the query, or drop it where there is none.
        path: `${path}?`,
        method: call.method,
        isStream,
        statusCodes: { 200: true, 201: true, 202: true, 204: true },
        options: { _query: { ...call.query }, _body: call.body ?? {} },
        ...(limit === undefined ? {} : { abortSignal: limit }),
      }
      modem.dial(options, (error: unknown, data: unknown) => {
        if (error === null || error === undefined) resolve(data)
        else reject(portErrorOf(error, what))
      })
    })
  }

  async function version(signal?: AbortSignal): Promise<string> {
    if (negotiated !== undefined) return negotiated
    const limit = withTimeout(signal)
    const answer = (await dial({ method: 'GET', path: '/version' }, '/version', false, limit)) as { ApiVersion?: unknown } | null
    const offered = answer?.ApiVersion
    if (typeof offered !== 'string') throw new PortError('Unavailable', 'GET /version: no API version in the answer')
    negotiated = negotiate(offered)
    return negotiated
  }

  async function call(one: Call): Promise<unknown> {
    return dial(one, `/v${await version(one.signal)}${one.path}`, false, withTimeout(one.signal))
  }

  return {
    version,
    call: (one) => cancellable(call(one), one.signal),
    async find(one) {
      try {
        return await cancellable(call(one), one.signal)
      } catch (error) {
        if (error instanceof PortError && error.kind === 'NotFound') return undefined
        throw error
      }
    },
    // No timeout: an idle stream is a quiet Swarm.
    stream: async (one) => (await dial(one, `/v${await version(one.signal)}${one.path}`, true, one.signal)) as IncomingMessage,
  }
}

/** A daemon that was upgraded or went away is asked for its version again only by a new process: versions only grow, and old ones stay served. */
export function negotiate(offered: string): string {
  if (compareVersions(offered, oldestUsable) < 0) {
    throw new PortError('Invalid', `this Docker speaks API ${offered}; swarmvirt needs ${oldestUsable} (Engine 20.10) or newer`)
  }
  return compareVersions(offered, newestKnown) < 0 ? offered : newestKnown
}

function compareVersions(a: string, b: string): number {
  const [aMajor = 0, aMinor = 0] = a.split('.').map(Number)
  const [bMajor = 0, bMinor = 0] = b.split('.').map(Number)
  return aMajor - bMajor || aMinor - bMinor
}

function withTimeout(signal: AbortSignal | undefined): AbortSignal {
  const timeout = AbortSignal.timeout(callTimeoutMs)
  return signal === undefined ? timeout : AbortSignal.any([signal, timeout])
}

/** A cancelled call ends with the signal's own reason. */
async function cancellable(call: Promise<unknown>, signal: AbortSignal | undefined): Promise<unknown> {
  try {
    return await call
  } catch (error) {
    signal?.throwIfAborted()
    throw error
  }
}

function transport(endpoint: string): Docker.DockerOptions {
  const url = URL.parse(endpoint)
  // `host` is named in both cases: left out, dockerode takes it from DOCKER_HOST.
  if (url?.protocol === 'unix:') return { socketPath: url.pathname, host: undefined, version: '' }
  if (url?.protocol === 'tcp:' && url.hostname !== '')
    return { host: url.hostname, port: url.port === '' ? 2375 : Number(url.port), protocol: 'http' }
  throw new PortError('Invalid', `"${endpoint}" is no Docker endpoint; write unix:///PATH or tcp://HOST:PORT`)
}
