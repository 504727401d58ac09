import type { IncomingMessage } from 'node:http'
import { PortError } from '../../ports/errors.ts'
import { portErrorOf } from './errors.ts'
import { transport } from './transport.ts'

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

/** The Engine API: versioned, cancellable, with PortErrors. */
export interface Engine {
  call(call: Call): Promise<unknown>
  /** As `call`, but a certain 404 is undefined. */
  find(call: Call): Promise<unknown>
  stream(call: Call): Promise<IncomingMessage>
  version(signal?: AbortSignal): Promise<string>
}

/** `endpoint` is `unix:///path` or `tcp://host:port` (a filtering proxy). */
export function dockerEngine(endpoint: string): Engine {
  const docker = transport(endpoint)
  let negotiated: string | undefined

  async function dial<Answer>({ method, path: shown }: Call, answer: Promise<Answer>): Promise<Answer> {
    try {
      return await answer
    } catch (error) {
      throw portErrorOf(error, `${method} ${shown}`)
    }
  }

  const limits = (signal: AbortSignal | undefined): { timeoutMs: number; signal: AbortSignal | undefined } => ({
    timeoutMs: callTimeoutMs,
    signal,
  })

  async function version(signal?: AbortSignal): Promise<string> {
    if (negotiated !== undefined) return negotiated
    const asked = { method: 'GET', path: '/version' } as const
    const answer = (await dial(asked, docker.exchange(asked, limits(signal)))) as { ApiVersion?: unknown } | null
    const offered = answer?.ApiVersion
    if (typeof offered !== 'string') throw new PortError('Unavailable', 'GET /version: no API version in the answer')
    negotiated = negotiate(offered)
    return negotiated
  }

  async function call(one: Call): Promise<unknown> {
    const path = `/v${await version(one.signal)}${one.path}`
    return dial(one, docker.exchange({ ...one, path }, limits(one.signal)))
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
    async stream(one) {
      const path = `/v${await version(one.signal)}${one.path}`
      return dial(one, docker.open({ ...one, path }, { timeoutMs: undefined, signal: one.signal }))
    },
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

/** A cancelled call ends with the signal's own reason. */
async function cancellable(call: Promise<unknown>, signal: AbortSignal | undefined): Promise<unknown> {
  try {
    return await call
  } catch (error) {
    signal?.throwIfAborted()
    throw error
  }
}
