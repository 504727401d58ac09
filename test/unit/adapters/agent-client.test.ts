import { randomUUID } from 'node:crypto'
import { afterEach, expect, test } from 'vitest'
import { agentClient } from '../../../src/adapters/control/agent-client.ts'
import { listenPsk } from '../../../src/adapters/control/psk-https.ts'
import { type AgentPrograms, agentRoutes } from '../../../src/agent/routes.ts'
import {
  maxAgentBodyBytes,
  type PrepareOrder,
  type PrepareStatus,
  type ProbeOutcome,
  type VmStatus,
} from '../../../src/api/wire/agent-api.ts'
import { type KnownAnswer, marked, probeMark, vmMark } from '../../../src/api/wire/unchanged.ts'
import type { AnswerControl, ControlListener } from '../../../src/ports/control-listener.ts'
import { silentLog } from '../controller/virtual-clock.ts'
import { aMac, aUid, aVmName } from '../../support/branded.ts'
import type { VmUid } from '../../../src/api/names.ts'

const keys = [{ id: 'k1', hex: '1'.repeat(64) }] as const
const listeners: ControlListener[] = []
afterEach(async () => void (await Promise.all(listeners.splice(0).map((one) => one.close()))))

async function connected(answer: AnswerControl) {
  const listener = await listenPsk({ keys, host: '127.0.0.1', port: 0, maxBodyBytes: maxAgentBodyBytes, answer, log: silentLog })
  listeners.push(listener)
  return agentClient({ address: '127.0.0.1', port: listener.port, keys })
}

const reached: ProbeOutcome = { outcome: 'reached', reason: 'ArpReply', message: '', mac: aMac('52:54:00:00:00:01'), rttMs: 0.4 }

function statusOf(uid: VmUid): VmStatus {
  return { version: 1, uid, lease: null, sightings: [], runner: null, runnerMessage: `of ${uid}`, brokerMessage: '' }
}

/** An agent whose VMs are all there; nothing else is asked of it. */
function programs(changes: Partial<AgentPrograms> = {}): AgentPrograms {
  const unused = (): never => {
    throw new Error('not asked here')
  }
  return {
    facts: unused,
    instances: unused,
    orders: { prepare: unused, repeat: async () => undefined, lastAnswer: () => undefined, revoke: unused, deleteDisks: unused },
    vm: async (uid) => statusOf(uid),
    runners: { powerOff: unused, control: unused },
    probe: async () => ({ ...reached, rttMs: Math.PI }),
    ...changes,
  }
}

const aVm = (uid = aUid(randomUUID())): KnownAnswer => ({ kind: 'vm', uid, mark: vmMark(statusOf(uid)) })

test('one question tells which of many answers still hold, whatever differs at every look', async () => {
  const client = await connected(agentRoutes(programs()))
  const request = { version: 1, kind: 'arp', bridge: 'br0', ip: '192.168.50.42', timeoutMs: 1_000 } as const
  const known: KnownAnswer[] = [
    aVm(),
    { ...aVm(), mark: 'b'.repeat(32) },
    { kind: 'probe', request, mark: probeMark(reached) },
    { kind: 'probe', request, mark: probeMark({ ...reached, mac: aMac('52:54:00:00:00:02') }) },
    { kind: 'prepare', uid: aUid(randomUUID()), order: 'a'.repeat(32), mark: 'a'.repeat(32) },
  ]
  expect(await client.unchanged(known)).toEqual([0, 2])
})

test('a VM that is not there, or cannot be asked about, is not unchanged, and takes nobody with it', async () => {
  const [gone, broken, well] = [aVm(), aVm(), aVm()]
  const vm: AgentPrograms['vm'] = async (uid) => {
    if (gone.kind === 'vm' && uid === gone.uid) return undefined
    if (broken.kind === 'vm' && uid === broken.uid) throw new Error('the disk is full')
    return statusOf(uid)
  }
  const client = await connected(agentRoutes(programs({ vm })))
  expect(await client.unchanged([gone, broken, well])).toEqual([2])
})

test('a path without the uid of a VM is refused', async () => {
  const request = { method: 'DELETE', path: '/v1/vms/UID/grant', body: '', signal: new AbortController().signal }
  expect(await agentRoutes(programs())(request)).toMatchObject({ status: 400, body: { reason: 'UnknownRequest' } })
})

test('many questions are several requests, each within its limits', async () => {
  const bodies: number[] = []
  const routes = agentRoutes(programs())
  const client = await connected((request) => {
    bodies.push(request.body.length)
    return routes(request)
  })
  const known = Array.from({ length: 300 }, () => aVm())
  expect(await client.unchanged(known)).toEqual([...known.keys()])
  expect(bodies).toHaveLength(3)
  expect(Math.max(...bodies)).toBeLessThan(maxAgentBodyBytes / 4)
})

test('an agent takes no more than its limit at once', async () => {
  const answer = await agentRoutes(programs())({
    method: 'POST',
    path: '/v1/unchanged',
    body: JSON.stringify({ version: 1, known: Array.from({ length: 129 }, () => aVm()) }),
    signal: AbortSignal.timeout(5_000),
  })
  expect(answer.status).toBe(400)
})

test('an agent of release 0.1 does not know the question: it is asked once, and single questions are answered as before', async () => {
  const asked: string[] = []
  const routes = agentRoutes(programs())
  const client = await connected((request) => {
    asked.push(`${request.method} ${request.path}`)
    // The answer of release 0.1 to an unknown path.
    if (request.path === '/v1/unchanged')
      return Promise.resolve({ status: 400, body: { reason: 'UnknownRequest', message: 'this agent knows no POST /v1/unchanged' } })
    return routes(request)
  })
  const uid = aUid(randomUUID())
  expect(await client.unchanged([aVm()])).toBeUndefined()
  expect(await client.unchanged([aVm()])).toBeUndefined()
  expect(await client.vm(uid)).toEqual(statusOf(uid))
  expect(asked).toEqual(['POST /v1/unchanged', `GET /v1/vms/${uid}`])
})

const preparing: PrepareStatus = { state: 'preparing', reason: 'CopyingImage', message: '' }
const order = marked({
  version: 1,
  uid: aUid(randomUUID()),
  vm: aVmName('web-1'),
  cluster: 'lab',
  disks: [{ name: 'root', sizeBytes: 1, image: { source: 'images/tiny.qcow2', sha256: null } }],
  disksMustExist: false,
  accelerator: 'auto',
  softwareEmulation: true,
  nics: [],
})
const { uid, mark } = order

/** An agent with one order, which counts how often it is carried out. */
function agentWithOrder() {
  const made = { carriedOut: 0, orders: [] as PrepareOrder[] }
  const lastAnswer = (one: string, asked: string) => (one === uid && asked === mark ? preparing : undefined)
  const repeat: AgentPrograms['orders']['repeat'] = async (one, asked) => {
    made.carriedOut += 1
    return lastAnswer(one, asked)
  }
  const prepare: AgentPrograms['orders']['prepare'] = async (one) => {
    made.orders.push(one)
    return preparing
  }
  return { made, routes: agentRoutes(programs({ orders: { ...programs().orders, lastAnswer, repeat, prepare } })) }
}

test('the progress of an order is requested by its mark, and a dry run does no work', async () => {
  const { made, routes } = agentWithOrder()
  const client = await connected(routes)
  expect(await client.progress({ uid, order: mark, dryRun: true })).toEqual(preparing)
  expect(await client.progress({ uid, order: 'b'.repeat(32), dryRun: true })).toEqual({ state: 'none' })
  expect(made.carriedOut).toBe(0)
  expect(await client.progress({ uid, order: mark })).toEqual(preparing)
  expect(await client.progress({ uid: aUid(randomUUID()), order: mark })).toEqual({ state: 'none' })
  expect(made.carriedOut).toBe(2)
})

test('an agent of release 0.1 does not know progress, and gets no order instead', async () => {
  const asked: string[] = []
  const { made, routes } = agentWithOrder()
  const client = await connected((request) => {
    asked.push(request.path)
    if (!request.path.endsWith('/progress')) return routes(request)
    return Promise.resolve({ status: 400, body: { reason: 'UnknownRequest', message: 'this agent knows no such path' } })
  })
  expect(await client.progress({ uid, order: mark })).toBeUndefined()
  expect(await client.progress({ uid, order: mark, dryRun: true })).toBeUndefined()
  expect(await client.unchanged([aVm()])).toBeUndefined()
  expect([asked, made.orders]).toEqual([[`/v1/vms/${uid}/progress`], []])
  expect(await client.prepare(order)).toEqual(preparing)
})

test('an agent keeps the mark of an order with keys that it does not know', async () => {
  const { made, routes } = agentWithOrder()
  const client = await connected(routes)
  await client.prepare({ ...order, later: true } as PrepareOrder)
  expect(made.orders).toEqual([order])
})

test('an answer that is none of the contract says nothing', async () => {
  const client = await connected(async () => ({ status: 200, body: { version: 1, same: ['all'] } }))
  await expect(client.unchanged([aVm()])).rejects.toMatchObject({ kind: 'Unavailable' })
})
