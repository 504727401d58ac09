import type { IncomingMessage } from 'node:http'
import { z } from 'zod'
import type { ConfirmRemovals, NodeView, VmView } from '../../api/wire/controller-api.ts'
import type { DisksView } from '../../api/wire/disks.ts'
import type { DeclaredManifest, VmPlan } from '../../api/wire/plan.ts'
import type { SuspensionAnswer } from '../../ports/controller-actions.ts'
import type { ControllerApi, VmChange } from '../../ports/controller-api.ts'
import { PortError } from '../../ports/errors.ts'
import { messageOf } from '../../api/error-message.ts'
import { eventStream, type StreamEvent } from './event-stream.ts'
import { type Asked, askPinned, bodyOf, type PinnedServer } from './pinned-https.ts'

export interface ControllerClientOptions extends PinnedServer {
  /** Timeout of one call, including the connection. */
  readonly timeoutMs?: number
  /** Maximum silence of a watch. The controller sends a heartbeat every 15 s. */
  readonly silenceMs?: number
}

/** Enough for some thousand VMs with their events. A larger answer is not from our controller. */
const maxAnswerBytes = 64 * 1024 * 1024
/** One VM with its events. */
const maxEventBytes = 4 * 1024 * 1024

// Validates only the fields in use and keeps all others, since a later controller may send more.
const text = z.record(z.string(), z.string())
const vmView = z.looseObject({
  name: z.string(),
  phase: z.string(),
  declared: z.string(),
  facts: text,
  nics: z
    .array(
      z.looseObject({
        name: z.string(),
        bridge: z.string(),
        kind: z.string().optional(),
        ports: z
          .array(z.looseObject({ name: z.string(), guest: z.number(), published: z.number().optional(), protocol: z.string() }))
          .optional(),
        mac: z.string(),
        mtu: z.number().optional(),
        address: z.string().optional(),
        seenAt: z.string().optional(),
      }),
    )
    .optional(),
  spec: z
    .looseObject({
      cores: z.number(),
      memoryBytes: z.number(),
      disks: z.array(z.looseObject({ name: z.string(), sizeBytes: z.number(), image: z.string() })),
      networks: z.array(z.looseObject({ name: z.string(), bridge: z.string(), kind: z.string().optional() })),
    })
    .optional(),
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
  notReached: z.array(z.string()).default([]),
})
const sourceView = z.looseObject({
  source: z.string(),
  revision: z.string().default(''),
  complete: z.boolean(),
  message: z.string(),
  documents: z.looseObject({ valid: z.number(), invalid: z.number(), ignored: z.number().default(0) }),
  issues: z.array(z.string()),
  ignored: z.array(z.looseObject({ file: z.string(), line: z.number(), kind: z.string() })).default([]),
  superseded: z.array(z.looseObject({ file: z.string(), name: z.string(), by: z.string() })).default([]),
})
const answers = {
  version: z.looseObject({ version: z.number(), release: z.string() }),
  vms: z.looseObject({ vms: z.array(vmView) }),
  nodes: z.looseObject({ nodes: z.array(nodeView) }),
  sources: z.looseObject({ sources: z.array(sourceView), stalled: z.string().nullable(), withheld: z.array(z.string()).default([]) }),
  confirmed: z.looseObject({ confirmed: z.array(z.string()) }),
  otherBlocked: z.looseObject({ withheld: z.array(z.string()) }),
  gone: z.looseObject({ name: z.string() }),
  problem: z.looseObject({ reason: z.string(), message: z.string() }),
  suspension: z.looseObject({ changed: z.boolean() }),
  plan: z.looseObject({
    name: z.string(),
    suspended: z.string().nullable(),
    steps: z.array(z.looseObject({ verb: z.string(), object: z.string(), why: z.string(), guest: z.string() })),
    edits: z.array(z.looseObject({ path: z.string(), from: z.string().optional(), to: z.string().optional(), effect: z.string() })),
    editsTakeHold: z.string(),
    waitsFor: z.string(),
    unknown: z.array(z.string()),
  }),
  disks: z.looseObject({
    disks: z.array(
      z.looseObject({
        node: z.string(),
        uid: z.string(),
        vm: z.string().nullable(),
        disk: z.string(),
        sizeBytes: z.number(),
        allocatedBytes: z.number(),
        state: z.string(),
        retainedAt: z.string().nullable(),
      }),
    ),
    unasked: z.array(z.looseObject({ node: z.string(), message: z.string() })),
  }),
  manifest: z.looseObject({
    name: z.string(),
    generation: z.string(),
    source: z.string(),
    manifest: z.looseObject({ metadata: z.looseObject({ name: z.string() }), spec: z.looseObject({}) }),
  }),
}

function pathOf(name: string): string {
  return `/api/v1/vms/${encodeURIComponent(name)}`
}

export function controllerClient(options: ControllerClientOptions): ControllerApi {
  const get = async <Schema extends z.ZodType>(path: string, schema: Schema, signal?: AbortSignal): Promise<z.output<Schema>> => {
    const answer = await call(options, { method: 'GET', path }, signal)
    if (answer.status !== 200) throw refused(answer)
    return parse(schema, answer.body)
  }
  const find = async <Schema extends z.ZodType>(path: string, schema: Schema, signal?: AbortSignal) => {
    const answer = await call(options, { method: 'GET', path }, signal)
    if (answer.status === 404) return undefined
    if (answer.status !== 200) throw refused(answer)
    return parse(schema, answer.body)
  }
  const suspension = async (name: string, verb: 'suspend' | 'resume', signal?: AbortSignal): Promise<SuspensionAnswer> => {
    const answer = await call(options, { method: 'POST', path: `${pathOf(name)}/${verb}` }, signal)
    if (answer.status === 404) return { kind: 'unknown' }
    if (answer.status === 409) return { kind: 'refused', message: parse(answers.problem, answer.body).message }
    if (answer.status !== 200) throw refused(answer)
    return { kind: 'done', changed: parse(answers.suspension, answer.body).changed }
  }
  return {
    version: (signal) => get('/api/v1/version', answers.version, signal),
    vms: async (signal) => (await get('/api/v1/vms', answers.vms, signal)).vms as unknown as readonly VmView[],
    vm: async (name, signal) => (await find(pathOf(name), vmView, signal)) as unknown as VmView | undefined,
    plan: async (name, signal) => (await find(`${pathOf(name)}/plan`, answers.plan, signal)) as VmPlan | undefined,
    manifest: async (name, signal) => (await find(`${pathOf(name)}/manifest`, answers.manifest, signal)) as DeclaredManifest | undefined,
    suspend: (name, signal) => suspension(name, 'suspend', signal),
    resume: (name, signal) => suspension(name, 'resume', signal),
    async power(name, verb, signal) {
      const answer = await call(options, { method: 'POST', path: `${pathOf(name)}/${verb}` }, signal)
      if (answer.status === 404) return { kind: 'unknown' }
      if (answer.status === 409) return { kind: 'refused', message: parse(answers.problem, answer.body).message }
      if (answer.status !== 200) throw refused(answer)
      return { kind: 'done', changed: parse(answers.suspension, answer.body).changed }
    },
    async reconcile(name, signal) {
      const answer = await call(options, { method: 'POST', path: `${pathOf(name)}/reconcile` }, signal)
      if (answer.status !== 202 && answer.status !== 404) throw refused(answer)
      return answer.status === 202
    },
    watchVms: (signal) => watchVms(options, signal),
    nodes: async (signal) => (await get('/api/v1/nodes', answers.nodes, signal)).nodes as unknown as readonly NodeView[],
    disks: async (signal) => (await get('/api/v1/disks', answers.disks, signal)) as unknown as DisksView,
    sources: (signal) => get('/api/v1/sources', answers.sources, signal),
    async reload(signal) {
      const answer = await call(options, { method: 'POST', path: '/-/reload' }, signal)
      if (answer.status !== 202) throw refused(answer)
    },
    async confirmRemoval(vms, signal) {
      const body: ConfirmRemovals = { vms }
      const answer = await call(options, { method: 'POST', path: '/api/v1/removals/confirm', body }, signal)
      if (answer.status === 409) return { kind: 'other', withheld: parse(answers.otherBlocked, answer.body).withheld }
      if (answer.status !== 200) throw refused(answer)
      return { kind: 'confirmed', names: parse(answers.confirmed, answer.body).confirmed }
    },
  }
}

interface Answer {
  readonly status: number
  readonly body: string
}

async function call(options: ControllerClientOptions, asked: Omit<Asked, 'accept'>, signal: AbortSignal | undefined): Promise<Answer> {
  const limit = AbortSignal.timeout(options.timeoutMs ?? 10_000)
  const ends = signal === undefined ? limit : AbortSignal.any([signal, limit])
  try {
    const response = await askPinned(options, { ...asked, accept: 'application/json' }, ends)
    return { status: response.statusCode ?? 0, body: await bodyOf(response, maxAnswerBytes) }
  } catch (cause) {
    throw unavailable(cause, options, signal, limit.aborted ? 'did not answer in time' : 'cannot be reached')
  }
}

/** Keeps the caller's own abort and errors that are classified already. Any other error means that the server is unavailable. */
function unavailable(cause: unknown, { server }: PinnedServer, signal: AbortSignal | undefined, what: string): unknown {
  if (cause instanceof PortError) return cause
  if (signal?.aborted === true) return signal.reason
  return new PortError('Unavailable', `${server} ${what}: ${messageOf(cause)}`, { cause })
}

async function* watchVms(options: ControllerClientOptions, signal: AbortSignal | undefined): AsyncGenerator<VmChange> {
  const late = new AbortController()
  const timer = setTimeout(() => late.abort(new Error('no answer in time')), options.timeoutMs ?? 10_000)
  const ends = signal === undefined ? late.signal : AbortSignal.any([signal, late.signal])
  try {
    const asked = { method: 'GET', path: '/api/v1/vms?watch=true', accept: 'text/event-stream' } as const
    const response = await askPinned(options, asked, ends)
    clearTimeout(timer)
    if (response.statusCode !== 200) throw refused({ status: response.statusCode ?? 0, body: await bodyOf(response, maxAnswerBytes) })
    yield* changesIn(response, options.silenceMs ?? 45_000)
    throw new Error('the controller closed the watch')
  } catch (cause) {
    throw unavailable(late.signal.aborted ? late.signal.reason : cause, options, signal, 'stopped the watch')
  } finally {
    clearTimeout(timer)
  }
}

/** Leaving the loop closes the connection. */
async function* changesIn(response: IncomingMessage, silenceMs: number): AsyncGenerator<VmChange> {
  response.socket.setTimeout(silenceMs, () => response.destroy(new Error(`received nothing for ${silenceMs / 1000} s`)))
  const events = eventStream(maxEventBytes)
  for await (const chunk of response as AsyncIterable<Buffer>) {
    for (const event of events.push(chunk)) {
      const change = changeOf(event)
      if (change !== undefined) yield change
    }
  }
}

/** Undefined for an event type of a later controller. */
function changeOf({ event, data }: StreamEvent): VmChange | undefined {
  if (event === 'vm') return { kind: 'vm', vm: parse(vmView, data) as unknown as VmView }
  if (event === 'gone') return { kind: 'gone', name: parse(answers.gone, data).name }
  return event === 'synced' ? { kind: 'synced' } : undefined
}

function refused({ status, body }: Answer): PortError {
  const problem = answers.problem.safeParse(jsonOf(body))
  const said = problem.success ? `${problem.data.reason}: ${problem.data.message}` : `it returned status ${status}`
  return new PortError(status === 401 || status === 403 ? 'Denied' : 'Unavailable', `the controller rejected the request: ${said}`)
}

function parse<Schema extends z.ZodType>(schema: Schema, body: string): z.output<Schema> {
  const result = schema.safeParse(jsonOf(body))
  if (result.success) return result.data
  const issue = result.error.issues[0]
  throw new PortError('Unavailable', `this release does not support the controller's answer: ${issue?.path.join('.')} ${issue?.message}`)
}

/** Undefined for invalid JSON, which no schema accepts. */
function jsonOf(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}
