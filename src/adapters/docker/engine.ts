import { PortError } from '../../ports/errors.ts'
import type { ByteStream, Call, Dial, Request } from './call.ts'
import { portErrorOf } from './errors.ts'
import { cachedLists } from './lists.ts'

/** The newest tested API version. An older daemon's own version is used instead. */
const newestKnown = '1.51'
const oldestUsable = '1.41'

/** The Engine API over a transport, with versions, cancellation and PortErrors. */
export interface Engine {
  call(call: Call): Promise<unknown>
  /** Like `call`, but returns undefined for a definite 404. */
  find(call: Call): Promise<unknown>
  /** A list. While Docker's answer has the same bytes, the same array is returned. */
  list<Item>(call: Call, item: (raw: unknown) => Item): Promise<readonly Item[]>
  stream(call: Call): Promise<ByteStream>
  version(signal?: AbortSignal): Promise<string>
}

export function engineOver(dial: Dial): Engine {
  let negotiated: string | undefined

  async function send(call: Call, prefix: string, how: Pick<Request, 'isStream' | 'asBytes'>): Promise<unknown> {
    call.signal?.throwIfAborted()
    try {
      return await dial({ ...call, path: `${prefix}${call.path}`, ...how })
    } catch (error) {
      throw portErrorOf(error, `${call.method} ${call.path}`)
    }
  }

  async function version(signal?: AbortSignal): Promise<string> {
    if (negotiated !== undefined) return negotiated
    const answer = (await send({ method: 'GET', path: '/version', signal }, '', { isStream: false })) as { ApiVersion?: unknown } | null
    const offered = answer?.ApiVersion
    if (typeof offered !== 'string') throw new PortError('Unavailable', 'GET /version: no API version in the answer')
    negotiated = negotiate(offered)
    return negotiated
  }

  async function call(one: Call, how: Pick<Request, 'isStream' | 'asBytes'> = { isStream: false }): Promise<unknown> {
    return send(one, `/v${await version(one.signal)}`, how)
  }

  const lists = cachedLists((one) => call(one, { isStream: false, asBytes: true }))

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
    list: (one, item) => cancellable(wholeList(lists.read(one, item), one), one.signal),
    stream: async (one) => (await call(one, { isStream: true })) as ByteStream,
  }
}

/** The version is negotiated once per process: versions only grow, and daemons keep serving old ones. */
export function negotiate(offered: string): string {
  if (compareVersions(offered, oldestUsable) < 0) {
    throw new PortError('Invalid', `this Docker supports API ${offered}; swarmvirt needs ${oldestUsable} (Engine 20.10) or newer`)
  }
  return compareVersions(offered, newestKnown) < 0 ? offered : newestKnown
}

function compareVersions(a: string, b: string): number {
  const [aMajor = 0, aMinor = 0] = a.split('.').map(Number)
  const [bMajor = 0, bMinor = 0] = b.split('.').map(Number)
  return aMajor - bMajor || aMinor - bMinor
}

/** A cancelled call rejects with the signal's own reason. */
async function cancellable<Answer>(call: Promise<Answer>, signal: AbortSignal | undefined): Promise<Answer> {
  try {
    return await call
  } catch (error) {
    signal?.throwIfAborted()
    throw error
  }
}

/** The connection may end in the middle of an answer. */
async function wholeList<Item>(read: Promise<readonly Item[]>, { method, path }: Call): Promise<readonly Item[]> {
  try {
    return await read
  } catch (error) {
    throw error instanceof PortError ? error : portErrorOf(error, `${method} ${path}`)
  }
}
