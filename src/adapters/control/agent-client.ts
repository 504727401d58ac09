import type * as z from 'zod/mini'
import {
  agentError,
  inventory,
  nodeFacts,
  orderProgress,
  prepareStatus,
  probeOutcome,
  type ProbeOutcome,
  type ProbeRequest,
  vmStatus,
} from '../../api/wire/agent-api.ts'
import { deletionStatus } from '../../api/wire/delete-disks.ts'
import type { ControlKey } from '../../api/control-key.ts'
import { type KnownAnswer, maxKnownAnswers, unchangedAnswer } from '../../api/wire/unchanged.ts'
import type { Agent } from '../../ports/agents.ts'
import { PortError } from '../../ports/errors.ts'
import { type PskCall, type PskClient, pskClient } from './psk-https.ts'

/** Enough for an inventory of some thousand VMs. A larger answer is not from our agent. */
const maxAnswerBytes = 4 * 1024 * 1024

export interface AgentClientOptions {
  /** IP address or host name on the control overlay. */
  readonly address: string
  readonly port: number
  readonly keys: readonly [ControlKey, ...ControlKey[]]
  /** Timeout of one call. A probe gets its own time in addition. */
  readonly timeoutMs?: number
}

export interface AgentClient extends Agent {
  /** Closes the connections that are kept open. */
  close(): void
}

/** One node's agent over the control plane. Errors are as in `Agent`. An answer that does not match the wire schema is `Unavailable`. */
export function agentClient(options: AgentClientOptions): AgentClient {
  return agentOver(pskClient({ address: options.address, port: options.port, keys: options.keys, maxAnswerBytes }), options.timeoutMs)
}

/** An agent over any transport. */
export function agentOver(client: PskClient, timeoutMs = 10_000): AgentClient {
  const call = (request: Omit<PskCall, 'timeoutMs'>, extraMs = 0) => callAgent(client, { ...request, timeoutMs: timeoutMs + extraMs })
  let isOld = false

  /** A request that release 0.1 does not have; undefined from such an agent. */
  async function callNewer(request: Omit<PskCall, 'timeoutMs' | 'method'>, extraMs = 0): Promise<unknown> {
    if (isOld) return undefined
    const answer = await call({ ...request, method: 'POST' }, extraMs).catch(unlessUnknown)
    // Detected once: a new agent task has another address, and so another client.
    isOld = answer === undefined
    return answer
  }

  async function unchanged(known: readonly KnownAnswer[], signal: AbortSignal | undefined): Promise<readonly number[] | undefined> {
    const same: number[] = []
    for (let from = 0; from < known.length; from += maxKnownAnswers) {
      const part = known.slice(from, from + maxKnownAnswers)
      const answer = await callNewer({ path: '/v1/unchanged', body: { version: 1, known: part }, signal }, slowestMs(part))
      if (answer === undefined) return undefined
      same.push(...parse(unchangedAnswer, answer).same.map((place) => from + place))
    }
    return same
  }

  return {
    facts: async (signal) => parse(nodeFacts, await call({ method: 'GET', path: '/v1/facts', signal })),
    instances: async (signal) => parse(inventory, await call({ method: 'GET', path: '/v1/instances', signal })).instances,
    deleteDisks: async (order, signal) =>
      parse(deletionStatus, await call({ method: 'POST', path: `/v1/vms/${order.uid}/delete-disks`, body: order, signal }, 60_000)),
    prepare: async (order, signal) =>
      parse(prepareStatus, await call({ method: 'PUT', path: `/v1/vms/${order.uid}`, body: order, signal })),
    async progress({ uid, ...question }, signal) {
      const answer = await callNewer({ path: `/v1/vms/${uid}/progress`, body: { version: 1, ...question }, signal })
      return answer === undefined ? undefined : parse(orderProgress, answer)
    },
    revoke: async (uid, signal) => {
      await call({ method: 'DELETE', path: `/v1/vms/${uid}/grant`, signal })
    },
    vm: async (uid, signal) => parse(vmStatus, await call({ method: 'GET', path: `/v1/vms/${uid}`, signal })),
    async control(uid, action, signal) {
      const answer = await callNewer({ path: `/v1/vms/${uid}/${action}`, signal })
      if (answer === undefined) throw new PortError('Denied', `the agent of the node is of an earlier release, which has no ${action}`)
    },
    probe: async (request, signal) => {
      const answer = call({ method: 'POST', path: '/v1/probe', body: request, signal }, request.timeoutMs)
      return parse(probeOutcome, await answer.catch((error: unknown) => outdated(request, error)))
    },
    unchanged,
    close: () => client.close(),
  }
}

/** An agent of release 0.1 rejects the kinds of probes that it does not have. */
function outdated({ kind }: ProbeRequest, error: unknown): ProbeOutcome {
  if (!isNewProbe(kind) || !(error instanceof PortError && error.kind === 'Invalid')) throw error
  const message = `the agent of this node is of an earlier release, which has no ${kind} probes: update swarmvirt on the node`
  return { outcome: 'unknown', reason: 'AgentOutdated', message, mac: null, rttMs: null }
}

function isNewProbe(kind: ProbeRequest['kind']): boolean {
  return kind !== 'arp' && kind !== 'ping' && kind !== 'tcp'
}

/** An unanswered probe takes its whole time. */
function slowestMs(known: readonly KnownAnswer[]): number {
  return Math.max(0, ...known.map((one) => (one.kind === 'probe' ? one.request.timeoutMs : 0)))
}

/** An agent of release 0.1 rejects a request that it does not have with 400. */
function unlessUnknown(error: unknown): undefined {
  if (
    error instanceof PortError &&
    (error.kind === 'NotFound' || (error.kind === 'Invalid' && error.message.startsWith('UnknownRequest:')))
  )
    return
  throw error
}

async function callAgent(client: PskClient, request: PskCall): Promise<unknown> {
  const { status, body } = await client.call(request)
  const json = parseJson(body)
  if (status === 200) return json
  const error = agentError.safeParse(json)
  const text = error.success ? `${error.data.reason}: ${error.data.message}` : `${request.method} ${request.path} returned status ${status}`
  throw new PortError(kindOf(status), text)
}

function kindOf(status: number): PortError['kind'] {
  if (status === 404) return 'NotFound'
  if (status === 400) return 'Invalid'
  if (status === 409) return 'Denied'
  return 'Unavailable'
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new PortError('Unavailable', 'the answer of the agent is not JSON', { cause })
  }
}

function parse<Schema extends z.ZodMiniType>(schema: Schema, value: unknown): z.output<Schema> {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const issue = result.error.issues[0]
  throw new PortError('Unavailable', `this release does not support the agent's answer: ${issue?.path.join('.')} ${issue?.message}`)
}
