import { request as httpRequest } from 'node:http'
import { isIP } from 'node:net'
import { connect, type TLSSocket } from 'node:tls'
import { z } from 'zod'
import type { NodeView, VmView } from '../api/wire/controller-api.ts'
import type { ControllerApi } from '../ports/controller-api.ts'
import { messageOf, PortError } from '../ports/errors.ts'

export interface ControllerClientOptions {
  /** `https://HOST:PORT`. */
  readonly server: string
  /** SHA-256 of the certificate as `AA:BB:…`; names and chains prove nothing here. */
  readonly fingerprint: string
  readonly token: string
  /** For one call, the connection included. */
  readonly timeoutMs?: number
}

/** Some thousand VMs with their events; a server that sends more is not ours. */
const maxAnswerBytes = 64 * 1024 * 1024

// Only what is used here is asked for, and everything else is kept: a later controller may say more.
const text = z.record(z.string(), z.string())
const vmView = z.looseObject({
  name: z.string(),
  phase: z.string(),
  declared: z.string(),
  facts: text,
  conditions: z.array(z.looseObject({ type: z.string(), status: z.string(), reason: z.string(), message: z.string() })),
})
const nodeFacts = z.looseObject({
  kvm: z.looseObject({ state: z.string() }),
  memoryBytes: z.number(),
  cpus: z.number(),
  disk: z.looseObject({ freeBytes: z.number() }),
})
const nodeView = z.looseObject({
  hostname: z.string(),
  role: z.string(),
  availability: z.string(),
  state: z.string(),
  labels: text,
  facts: nodeFacts.nullable(),
  agentMessage: z.string(),
})
const sourceView = z.looseObject({
  source: z.string(),
  revision: z.string().default(''),
  complete: z.boolean(),
  message: z.string(),
  documents: z.looseObject({ valid: z.number(), invalid: z.number() }),
  issues: z.array(z.string()),
  superseded: z.array(z.looseObject({ file: z.string(), name: z.string(), by: z.string() })).default([]),
})
const answers = {
  version: z.looseObject({ version: z.number(), release: z.string() }),
  vms: z.looseObject({ vms: z.array(vmView) }),
  nodes: z.looseObject({ nodes: z.array(nodeView) }),
  sources: z.looseObject({ sources: z.array(sourceView), stalled: z.string().nullable(), withheld: z.array(z.string()).default([]) }),
}

export function controllerClient(options: ControllerClientOptions): ControllerApi {
  const get = async <Schema extends z.ZodType>(path: string, schema: Schema, signal?: AbortSignal): Promise<z.output<Schema>> => {
    const answer = await call(options, path, signal)
    if (answer.status !== 200) throw refused(answer)
    return parse(schema, answer.body)
  }
  return {
    version: (signal) => get('/api/v1/version', answers.version, signal),
    vms: async (signal) => (await get('/api/v1/vms', answers.vms, signal)).vms as unknown as readonly VmView[],
    async vm(name, signal) {
      const answer = await call(options, `/api/v1/vms/${encodeURIComponent(name)}`, signal)
      if (answer.status === 404) return undefined
      if (answer.status !== 200) throw refused(answer)
      return parse(vmView, answer.body) as unknown as VmView
    },
    nodes: async (signal) => (await get('/api/v1/nodes', answers.nodes, signal)).nodes as unknown as readonly NodeView[],
    sources: (signal) => get('/api/v1/sources', answers.sources, signal),
  }
}

interface Answer {
  readonly status: number
  readonly body: string
}

async function call(options: ControllerClientOptions, path: string, signal: AbortSignal | undefined): Promise<Answer> {
  const limit = AbortSignal.timeout(options.timeoutMs ?? 10_000)
  const ends = signal === undefined ? limit : AbortSignal.any([signal, limit])
  const url = new URL(options.server)
  try {
    const socket = await pinnedSocket(url, options.fingerprint, ends)
    try {
      return await exchange(socket, { host: url.host, path, token: options.token }, ends)
    } finally {
      socket.destroy()
    }
  } catch (cause) {
    if (cause instanceof PortError) throw cause
    signal?.throwIfAborted()
    throw new PortError(
      'Unavailable',
      `${options.server} ${limit.aborted ? 'did not answer in time' : `cannot be reached: ${messageOf(cause)}`}`,
      { cause },
    )
  }
}

/** A connection whose far side has proven to hold the pinned certificate's key. Nothing of ours was sent over it yet. */
function pinnedSocket(url: URL, fingerprint: string, signal: AbortSignal): Promise<TLSSocket> {
  const host = url.hostname.replace(/^\[|\]$/g, '')
  return new Promise((resolve, reject) => {
    signal.throwIfAborted()
    const socket = connect({
      host,
      port: Number(url.port === '' ? 443 : url.port),
      ...(isIP(host) === 0 ? { servername: host } : {}),
      minVersion: 'TLSv1.2',
      // Self-signed: the fingerprint below is what is trusted, and nothing else.
      rejectUnauthorized: false,
    })
    const abort = (): void => void socket.destroy(new Error('aborted'))
    signal.addEventListener('abort', abort, { once: true })
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('the connection was closed')))
    socket.once('secureConnect', () => {
      const found = socket.getPeerX509Certificate()?.fingerprint256
      if (found === fingerprint) return resolve(socket)
      socket.destroy()
      reject(new PortError('Denied', wrongCertificate(url.origin, found)))
    })
  })
}

function wrongCertificate(server: string, found: string | undefined): string {
  return `${server} shows another certificate than the one that is trusted (${found ?? 'none'}). The token was not sent. If the certificate was renewed, log in again with its fingerprint`
}

function exchange(
  socket: TLSSocket,
  asked: { readonly host: string; readonly path: string; readonly token: string },
  signal: AbortSignal,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = { host: asked.host, authorization: `Bearer ${asked.token}`, accept: 'application/json', connection: 'close' }
    const request = httpRequest({ createConnection: () => socket, path: asked.path, headers, signal }, (response) => {
      const chunks: Buffer[] = []
      let length = 0
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk)
        length += chunk.length
        if (length > maxAnswerBytes) response.destroy(new Error(`the answer is larger than ${maxAnswerBytes} bytes`))
      })
      response.once('error', reject)
      response.once('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') }))
    })
    request.once('error', reject)
    request.end()
  })
}

function refused({ status, body }: Answer): PortError {
  const problem = z.object({ reason: z.string(), message: z.string() }).safeParse(jsonOf(body))
  const said = problem.success ? `${problem.data.reason}: ${problem.data.message}` : `it answered with status ${status}`
  return new PortError(status === 401 || status === 403 ? 'Denied' : 'Unavailable', `the controller refused: ${said}`)
}

function parse<Schema extends z.ZodType>(schema: Schema, body: string): z.output<Schema> {
  const result = schema.safeParse(jsonOf(body))
  if (result.success) return result.data
  const issue = result.error.issues[0]
  throw new PortError(
    'Unavailable',
    `the controller's answer is not what this release understands: ${issue?.path.join('.')} ${issue?.message}`,
  )
}

/** Undefined for what is no JSON, which no schema takes. */
function jsonOf(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}
