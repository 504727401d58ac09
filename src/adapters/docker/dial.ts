import { addAbortSignal, type Readable } from 'node:stream'
import Docker from 'dockerode'
import { PortError } from '../../ports/errors.ts'
import type { Dial } from './call.ts'

/** Calls to a manager without a leader hang. Normal answers take milliseconds. */
const callTimeoutMs = 15_000

/** Uses only dockerode's transport: its own methods put specs into headers and URLs, and delete keys from their arguments. */
export function dockerodeDial(endpoint: string): Dial {
  const { modem } = new Docker(transport(endpoint))
  return ({ method, path, query, body, isStream, asBytes = false, signal }) => {
    // A stream has no timeout, since a quiet Swarm sends nothing.
    const limit = isStream ? { signal, end: () => undefined } : limited(signal)
    return new Promise((resolve, reject) => {
      const options = {
        // A question mark makes the transport append the query, or drop it if empty.
        path: `${path}?`,
        method,
        isStream: isStream || asBytes,
        statusCodes: { 200: true, 201: true, 202: true, 204: true },
        options: { _query: { ...query }, _body: body ?? {} },
        ...(limit.signal === undefined ? {} : { abortSignal: limit.signal }),
      }
      modem.dial(options, (error: unknown, data: unknown) => {
        const isAnswer = error === null || error === undefined
        // A streamed answer ends with its last byte.
        if (isAnswer && asBytes) (data as Readable).once('close', limit.end)
        else limit.end()
        if (isAnswer) resolve(asBytes ? abortable(data as Readable, limit.signal) : data)
        // Passed on unchanged: the engine classifies it.
        else reject(error)
      })
    })
  }
}

/** The transport only handles the signal until the response starts. */
function abortable(answer: Readable, signal: AbortSignal | undefined): Readable {
  return signal === undefined ? answer : addAbortSignal(signal, answer)
}

/** Aborted by the caller's signal or the timeout. `end` removes its listeners, since there are thousands of calls. */
function limited(signal: AbortSignal | undefined): { readonly signal: AbortSignal; readonly end: () => void } {
  const limit = new AbortController()
  const onAbort = (): void => limit.abort(signal?.reason)
  const timer = setTimeout(() => limit.abort(new Error('no answer in time')), callTimeoutMs)
  signal?.addEventListener('abort', onAbort)
  if (signal?.aborted) onAbort()
  return {
    signal: limit.signal,
    end() {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    },
  }
}

/** `unix:///path` or `tcp://host:port` (a filtering proxy). */
function transport(endpoint: string): Docker.DockerOptions {
  const url = URL.parse(endpoint)
  // `host` is always set, since dockerode would otherwise read DOCKER_HOST.
  if (url?.protocol === 'unix:') return { socketPath: url.pathname, host: undefined, version: '' }
  if (url?.protocol === 'tcp:' && url.hostname !== '')
    return { host: url.hostname, port: url.port === '' ? 2375 : Number(url.port), protocol: 'http' }
  throw new PortError('Invalid', `"${endpoint}" is not a Docker endpoint; use unix:///PATH or tcp://HOST:PORT`)
}
