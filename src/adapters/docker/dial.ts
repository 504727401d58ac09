import { addAbortSignal, type Readable } from 'node:stream'
import Docker from 'dockerode'
import { PortError } from '../../ports/errors.ts'
import type { Dial } from './call.ts'

/** Calls to a manager without a leader hang; an answer is given in milliseconds. */
const callTimeoutMs = 15_000

/** dockerode's transport alone: its own methods put specs into headers and URLs, and delete keys from what they are given. */
export function dockerodeDial(endpoint: string): Dial {
  const { modem } = new Docker(transport(endpoint))
  return ({ method, path, query, body, isStream, asBytes = false, signal }) => {
    // No timeout for a stream: an idle one is a quiet Swarm.
    const limit = isStream ? { signal, end: () => undefined } : limited(signal)
    return new Promise((resolve, reject) => {
      const options = {
        // A question mark makes the transport append the query, or drop it where there is none.
        path: `${path}?`,
        method,
        isStream: isStream || asBytes,
        statusCodes: { 200: true, 201: true, 202: true, 204: true },
        options: { _query: { ...query }, _body: body ?? {} },
        ...(limit.signal === undefined ? {} : { abortSignal: limit.signal }),
      }
      modem.dial(options, (error: unknown, data: unknown) => {
        const isAnswer = error === null || error === undefined
        // An answer that is read as it comes ends with its last byte.
        if (isAnswer && asBytes) (data as Readable).once('close', limit.end)
        else limit.end()
        if (isAnswer) resolve(asBytes ? abortable(data as Readable, limit.signal) : data)
        // As it is: what it means is judged elsewhere.
        else reject(error)
      })
    })
  }
}

/** The transport heeds the signal until the answer begins. */
function abortable(answer: Readable, signal: AbortSignal | undefined): Readable {
  return signal === undefined ? answer : addAbortSignal(signal, answer)
}

/** Aborted with the signal, or when a call has taken too long. Nothing of it is left when the call has ended: there are thousands. */
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
  // `host` is named in both cases: left out, dockerode takes it from DOCKER_HOST.
  if (url?.protocol === 'unix:') return { socketPath: url.pathname, host: undefined, version: '' }
  if (url?.protocol === 'tcp:' && url.hostname !== '')
    return { host: url.hostname, port: url.port === '' ? 2375 : Number(url.port), protocol: 'http' }
  throw new PortError('Invalid', `"${endpoint}" is no Docker endpoint; write unix:///PATH or tcp://HOST:PORT`)
}
