import type * as z from 'zod/mini'
import { type VmUid, isUid } from '../api/names.ts'
import {
  agentApiVersion,
  type NodeFacts,
  type InstanceRecord,
  prepareOrder,
  type OrderProgress,
  type ProbeOutcome,
  type ProbeRequest,
  probeRequest,
  progressRequest,
  type VmStatus,
} from '../api/wire/agent-api.ts'
import { guestControl } from '../api/wire/runner-control.ts'
import { unchangedRequest } from '../api/wire/unchanged.ts'
import { deleteDisksOrder } from '../api/wire/delete-disks.ts'
import type { AnswerControl, ControlAnswer, ControlRequest } from '../ports/control-listener.ts'
import { PortError } from '../ports/errors.ts'
import type { Runners } from '../ports/runners.ts'
import { type SingleQuestions, stillSame } from './still-same.ts'
import { StateError } from '../ports/state-files.ts'
import { BrokerRefusal } from './broker-link.ts'
import type { Orders } from './orders.ts'

export interface AgentPrograms {
  facts(): Promise<NodeFacts>
  instances(): Promise<readonly InstanceRecord[]>
  readonly orders: Orders
  /** Undefined if nothing of this VM is on this node. */
  vm(uid: VmUid, signal: AbortSignal): Promise<VmStatus | undefined>
  readonly runners: Pick<Runners, 'powerOff' | 'control'>
  probe(request: ProbeRequest, signal: AbortSignal): Promise<ProbeOutcome>
}

/** Implements the table of agent-api.ts. */
export function agentRoutes(programs: AgentPrograms): AnswerControl {
  return async (request) => {
    try {
      return await route(programs, request)
    } catch (error) {
      const answer = judgeError(error)
      if (answer === undefined) throw error
      return answer
    }
  }
}

async function route(programs: AgentPrograms, request: ControlRequest): Promise<ControlAnswer> {
  switch (`${request.method} ${request.path}`) {
    case 'GET /v1/facts':
      return ok(await programs.facts())
    case 'GET /v1/instances':
      return ok({ version: agentApiVersion, instances: await programs.instances() })
    case 'POST /v1/probe':
      return ok(await programs.probe(parseBody(probeRequest, request), request.signal))
    case 'POST /v1/unchanged':
      return await unchanged(programs, request)
    default:
      return (
        (await routeOfVm(programs, request)) ??
        // Not 404, which means that the VM is not here. Another release may support this path.
        refuse(400, 'UnknownRequest', `this agent does not support ${request.method} ${request.path.slice(0, 200)}`)
      )
  }
}

/** Undefined if it is no request of `/v1/vms/<uid>`. */
async function routeOfVm(programs: AgentPrograms, request: ControlRequest): Promise<ControlAnswer | undefined> {
  const [, uid = '', action = ''] = /^\/v1\/vms\/([^/]+)(\/[a-z-]+)?$/.exec(request.path) ?? []
  if (!isUid(uid)) return undefined
  switch (`${request.method} ${action}`) {
    case 'PUT ':
      return await prepare(programs, uid, request)
    case 'POST /progress':
      return await progress(programs, uid, request)
    case 'DELETE /grant':
      await programs.orders.revoke(uid)
      return ok({})
    case 'POST /delete-disks':
      return await removeDisks(programs, uid, request)
    case 'GET ':
      return await vmStatus(programs, uid, request.signal)
    case 'POST /power-off':
      await programs.runners.powerOff(uid, request.signal)
      return ok({})
    case 'POST /pause':
    case 'POST /unpause':
    case 'POST /reset':
      await programs.runners.control(uid, guestControl.parse(action.slice(1)), request.signal)
      return ok({})
    default:
      return undefined
  }
}

async function prepare(programs: AgentPrograms, uid: VmUid, request: ControlRequest): Promise<ControlAnswer> {
  const order = parseBody(prepareOrder, request)
  if (order.uid !== uid) return refuse(400, 'UidMismatch', `the order is for ${order.uid}`)
  if (new Set(order.disks.map((disk) => disk.name)).size !== order.disks.length)
    return refuse(400, 'DuplicateDisk', 'two disks have the same name')
  return ok(await programs.orders.prepare(order))
}

async function progress({ orders }: AgentPrograms, uid: VmUid, request: ControlRequest): Promise<ControlAnswer> {
  const { order, dryRun } = parseBody(progressRequest, request)
  const answer = dryRun ? orders.lastAnswer(uid, order) : await orders.repeat(uid, order)
  const none: OrderProgress = { state: 'none' }
  return ok(answer ?? none)
}

async function unchanged(programs: AgentPrograms, request: ControlRequest): Promise<ControlAnswer> {
  const { known } = parseBody(unchangedRequest, request)
  const single: SingleQuestions = {
    vm: (uid) => programs.vm(uid, request.signal),
    repeat: (uid, order) => programs.orders.repeat(uid, order),
    probe: (one) => programs.probe(one, request.signal),
  }
  return ok({ version: agentApiVersion, same: await stillSame(single, known, request.signal) })
}

async function removeDisks(programs: AgentPrograms, uid: VmUid, request: ControlRequest): Promise<ControlAnswer> {
  const order = parseBody(deleteDisksOrder, request)
  if (order.uid !== uid) return refuse(400, 'UidMismatch', `the order is for ${order.uid}`)
  return ok(await programs.orders.deleteDisks(order))
}

async function vmStatus(programs: AgentPrograms, uid: VmUid, signal: AbortSignal): Promise<ControlAnswer> {
  const status = await programs.vm(uid, signal)
  return status === undefined ? refuse(404, 'NoSuchVm', `VM ${uid} is not on this node`) : ok(status)
}

class BadBody extends Error {}

function parseBody<Schema extends z.ZodMiniType>(schema: Schema, request: ControlRequest): z.output<Schema> {
  const result = schema.safeParse(parseJson(request.body))
  if (result.success) return result.data
  const issue = result.error.issues[0]
  throw new BadBody(`${issue?.path.join('.') || 'the body'}: ${issue?.message}`.slice(0, 1000))
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new BadBody('the body is not JSON')
  }
}

function judgeError(error: unknown): ControlAnswer | undefined {
  if (error instanceof BadBody) return refuse(400, 'BadRequest', error.message)
  if (error instanceof StateError) return refuse(503, error.kind === 'NoSpace' ? 'InsufficientDisk' : 'StateRootError', error.message)
  if (error instanceof BrokerRefusal) return refuse(503, error.reason, error.message)
  if (!(error instanceof PortError)) return undefined
  if (error.kind === 'Invalid') return refuse(409, 'Refused', error.message)
  return error.kind === 'NotFound' ? refuse(404, 'NotFound', error.message) : refuse(503, error.kind, error.message)
}

function ok(body: object): ControlAnswer {
  return { status: 200, body }
}

function refuse(status: number, reason: string, message: string): ControlAnswer {
  return { status, body: { reason, message: message.slice(0, 2000) } }
}
