import { Agent, type IncomingMessage, request, type RequestOptions } from 'node:http'
import { PortError } from '../../ports/errors.ts'

export interface Exchange {
  readonly method: 'GET' | 'POST' | 'DELETE'
  readonly path: string
  readonly query?: Readonly<Record<string, string | number | boolean>>
  readonly body?: unknown
}

interface Limits {
  readonly timeoutMs: number | undefined
  readonly signal: AbortSignal | undefined
}

/** What Docker answered where it did not do it. */
interface Refused {
  readonly statusCode: number
  readonly message: string
  readonly json: unknown
}

/** HTTP to a daemon, connections kept. Both reject with a `Refused`, or with what the socket said. */
export interface Transport {
  /** The whole answer, parsed; null for an empty one. */
  exchange(call: Exchange, limits: Limits): Promise<unknown>
  /** The answer as it comes, once its head says that it is one. */
  open(call: Exchange, limits: Limits): Promise<IncomingMessage>
}

/** Docker's answers are a few kilobytes for each object. */
const longestAnswer = 512 * 1024 ** 2

export function transport(endpoint: string): Transport {
  const where = placeOf(endpoint)
  const agent = new Agent({ keepAlive: true })
  const send = (call: Exchange, limits: Limits): Promise<IncomingMessage> => sent({ ...where, agent }, call, limits)
  return {
    async exchange(call, limits) {
      const answer = await send(call, limits)
      return parsed(await textOf(answer))
    },
    open: send,
  }
}

function placeOf(endpoint: string): RequestOptions {
  const url = URL.parse(endpoint)
  if (url?.protocol === 'unix:') return { socketPath: url.pathname }
  if (url?.protocol === 'tcp:' && url.hostname !== '') return { host: url.hostname, port: url.port === '' ? 2375 : Number(url.port) }
  throw new PortError('Invalid', `"${endpoint}" is no Docker endpoint; write unix:///PATH or tcp://HOST:PORT`)
}

/** Resolves with the head of a success; the time limit holds until the whole answer is there. */
function sent(where: RequestOptions, { method, path, query, body }: Exchange, { timeoutMs, signal }: Limits): Promise<IncomingMessage> {
  signal?.throwIfAborted()
  return new Promise((resolve, reject) => {
    const text = body === undefined ? undefined : JSON.stringify(body)
    const headers = text === undefined ? {} : { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) }
    const asked = request({ ...where, method, path: `${path}${queryOf(query)}`, headers })
    const abort = (): void => void asked.destroy(signal?.reason as Error)
    const late = (): void => void asked.destroy(new Error(`no answer in ${timeoutMs} ms`))
    const timer = timeoutMs === undefined ? undefined : setTimeout(late, timeoutMs)
    signal?.addEventListener('abort', abort, { once: true })
    asked.once('close', () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', abort)
    })
    asked.on('error', reject)
    asked.once('response', (answer) => {
      const status = answer.statusCode ?? 0
      if (status >= 200 && status < 300) resolve(answer)
      else refusal(status, answer).then(reject, reject)
    })
    asked.end(text)
  })
}

async function refusal(statusCode: number, answer: IncomingMessage): Promise<Refused> {
  const text = await textOf(answer)
  try {
    return { statusCode, message: text, json: JSON.parse(text) as unknown }
  } catch {
    return { statusCode, message: text, json: null }
  }
}

async function textOf(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > longestAnswer) throw new Error(`an answer of more than ${longestAnswer} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

function parsed(text: string): unknown {
  return text === '' ? null : (JSON.parse(text) as unknown)
}

function queryOf(query: Exchange['query']): string {
  if (query === undefined) return ''
  return `?${new URLSearchParams(Object.entries(query).map(([key, value]): [string, string] => [key, String(value)])).toString()}`
}
