import { type ClientRequest, type IncomingMessage, request, type RequestOptions } from 'node:http'
import { text } from 'node:stream/consumers'
import { PortError } from '../../ports/errors.ts'
import { type Call, type Dial, StatusError } from './call.ts'

/** Calls to a manager without a leader hang. Normal answers take milliseconds. */
const callTimeoutMs = 15_000

/** The Engine API over HTTP. `endpoint` is `unix:///path`, or `tcp://host:port` of a filtering proxy. */
export function httpDial(endpoint: string): Dial {
  const daemon = daemonAt(endpoint)
  return async ({ method, path, query, body, isStream, asBytes = false, signal }) => {
    const headers = body === undefined ? {} : { 'Content-Type': 'application/json' }
    const sending = request({ ...daemon, method, path: `${path}${queryOf(query)}`, headers })
    let answer: IncomingMessage | undefined
    const end = limited(isStream, signal, (why) => (answer ?? sending).destroy(new Error(why)))
    try {
      answer = await answerTo(sending, body === undefined ? undefined : JSON.stringify(body))
    } catch (error) {
      end()
      throw error
    }
    answer.once('close', end)
    const status = answer.statusCode ?? 0
    if (status < 200 || status > 299) throw new StatusError(status, await text(answer))
    return isStream || asBytes ? answer : parsed(await text(answer))
  }
}

function answerTo(sending: ClientRequest, body: string | undefined): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    sending.on('error', reject)
    sending.on('response', (answer) => {
      // A stream may break before its reader listens. The reader gets the error all the same.
      answer.on('error', () => undefined)
      resolve(answer)
    })
    sending.end(body)
  })
}

function queryOf(query: Call['query'] = {}): string {
  const entries = Object.entries(query).map(([key, value]) => `${key}=${encodeURIComponent(value)}`)
  return entries.length === 0 ? '' : `?${entries.join('&')}`
}

/** An update and a removal answer with nothing. */
function parsed(answer: string): unknown {
  return answer === '' ? undefined : (JSON.parse(answer) as unknown)
}

/** Stops the call with the caller's signal or after the timeout. The returned function removes both, since there are thousands of calls. */
function limited(isStream: boolean, signal: AbortSignal | undefined, stop: (why: string) => void): () => void {
  const onAbort = (): void => stop('cancelled')
  // A stream has no timeout, since a quiet Swarm sends nothing.
  const timer = isStream ? undefined : setTimeout(() => stop('no answer in time'), callTimeoutMs)
  signal?.addEventListener('abort', onAbort)
  if (signal?.aborted) onAbort()
  return () => {
    clearTimeout(timer)
    signal?.removeEventListener('abort', onAbort)
  }
}

function daemonAt(endpoint: string): RequestOptions {
  const url = URL.parse(endpoint)
  if (url?.protocol === 'unix:') return { socketPath: url.pathname }
  if (url?.protocol === 'tcp:' && url.hostname !== '')
    return { host: url.hostname.replace(/^\[|\]$/g, ''), port: url.port === '' ? 2375 : Number(url.port) }
  throw new PortError('Invalid', `"${endpoint}" is not a Docker endpoint; use unix:///PATH or tcp://HOST:PORT`)
}
