import { nicFeatures } from '../api/nic-attachment.ts'
import {
  brokerAdminVersion,
  type BrokerFacts,
  type BrokerHello,
  type BrokerRequest,
  brokerRequest,
  type BrokerResponse,
  type ProbeOutcome,
} from '../api/wire/broker-admin.ts'
import { FrameError } from '../api/wire/frames.ts'
import type { Clock } from '../ports/clock.ts'
import { PortError } from '../ports/errors.ts'
import type { FdConnection, FdListener, FdSockets } from '../ports/fd-socket.ts'
import { HostError, type LanProbes } from '../ports/host-network.ts'
import type { Log } from '../ports/log.ts'
import { type Framed, framed } from './framed.ts'
import type { Limits } from './grants.ts'
import { type Host, whyNoLink, whyNoUserNetwork } from './host-view.ts'
import { answerLeases } from './lease-pages.ts'
import type { Leases } from './leases.ts'
import type { RunnerServer } from './runner-server.ts'
import type { Sightings } from './sightings.ts'

const socketMode = 0o660
/** The agent keeps one connection. People and host units open short ones. */
const maxConnections = 16
const maxPending = 64

export interface AdminServerOptions {
  readonly path: string
  readonly bootId: string
  readonly limits: Limits
  readonly sockets: FdSockets
  readonly host: Host
  readonly probes: LanProbes
  readonly leases: Leases
  readonly runners: RunnerServer
  readonly sightings: Sightings
  readonly clock: Clock
  readonly log: Log
  readonly closeFds: (fds: readonly number[]) => void
}

type RequestOf<Type extends BrokerRequest['type']> = Extract<BrokerRequest, { type: Type }>
type Answer = { readonly response: BrokerResponse; readonly fds: readonly number[] }

export function serveAdmin(options: AdminServerOptions): Promise<FdListener> {
  const connections = new Set<Framed>()
  return options.sockets
    .listen(options.path, socketMode, (connection) => {
      if (connections.size >= maxConnections) connection.close()
      else admit(options, connections, connection)
    })
    .then((listener) => ({
      close() {
        listener.close()
        for (const connection of connections) connection.close()
      },
    }))
}

function admit(options: AdminServerOptions, connections: Set<Framed>, connection: FdConnection): void {
  let pending = 0
  const link = framed(connection, {
    maxFrames: Number.POSITIVE_INFINITY,
    closeFds: options.closeFds,
    onFrame(frame) {
      const request = brokerRequest.safeParse(frame)
      if (!request.success) return sendAnswer(options, link, refusedFrame(frame, request.error.message))
      if (pending >= maxPending)
        return sendAnswer(options, link, errorAnswer(request.data.id, 'TooManyRequests', `${maxPending} requests are pending`))
      pending += 1
      void answer(options, request.data).then((each) => {
        pending -= 1
        sendAnswer(options, link, each)
      })
    },
    onClose(error) {
      if (error !== undefined) options.log.warn({ err: error }, 'Closed an admin connection')
      connections.delete(link)
    },
  })
  connections.add(link)
  link.send({
    type: 'hello',
    protocol: 'swarmvirt.broker-admin',
    version: brokerAdminVersion,
    bootId: options.bootId,
    limits: { bridges: [...options.limits.bridges], macPrefix: options.limits.macPrefix },
  } satisfies BrokerHello)
}

function sendAnswer(options: AdminServerOptions, link: Framed, { response, fds }: Answer): void {
  try {
    link.send(response, fds)
  } catch (error) {
    if (!(error instanceof FrameError) || response.id === null) throw error
    link.send(errorAnswer(response.id, 'AnswerTooLong', error.message).response)
  }
  if (fds.length > 0)
    void link.flushed().then(
      () => options.closeFds(fds),
      () => options.closeFds(fds),
    )
}

function errorAnswer(id: number | null, reason: string, message: string): Answer {
  return { response: { type: 'error', id, reason, message: message.slice(0, 2000) }, fds: [] }
}

/** A newer agent may send requests that this release does not support. They get an answer, and the connection stays open. */
function refusedFrame(frame: unknown, message: string): Answer {
  const id = (frame as { id?: unknown }).id
  return errorAnswer(typeof id === 'number' && Number.isSafeInteger(id) && id >= 0 ? id : null, 'BadRequest', message)
}

/** Never rejects. */
async function answer(options: AdminServerOptions, request: BrokerRequest): Promise<Answer> {
  try {
    return await carryOut(options, request)
  } catch (error) {
    if (error instanceof HostError || error instanceof PortError) return errorAnswer(request.id, error.kind, error.message)
    options.log.error({ err: error, type: request.type }, 'A request failed')
    return errorAnswer(request.id, 'Internal', (error as Error).message)
  }
}

function carryOut(options: AdminServerOptions, request: BrokerRequest): Answer | Promise<Answer> {
  const { id } = request
  switch (request.type) {
    case 'facts':
      return plain({ type: 'facts', id, facts: facts(options) })
    case 'grant':
      return grant(options, request)
    case 'check':
      return check(options, request)
    case 'revoke':
      return revoke(options, request)
    case 'leases':
      return plain(answerLeases(options.leases, request))
    case 'sightings':
      return plain({ type: 'sightings', id, sightings: options.sightings.of(request.macs, options.clock.now()) })
    case 'openKvm':
      return { response: { type: 'kvm', id }, fds: [options.host.devices.open('kvm')] }
    case 'arp':
    case 'ping':
      return probe(options, request).then((outcome) => plain({ type: 'probe', id, probe: outcome }))
    case 'powerOffAll':
      return options.leases.power
        .offAll(request.timeoutMs)
        .then((remaining) => plain({ type: 'poweredOff', id, remaining: remaining.slice(0, 1000) }))
    case 'powerOnAll':
      options.leases.power.onAll()
      return plain({ type: 'ok', id })
  }
}

async function grant({ leases, runners }: AdminServerOptions, request: RequestOf<'grant'>): Promise<Answer> {
  const verdict = leases.grant(request.grant)
  if (!verdict.ok) return errorAnswer(request.id, verdict.reason, verdict.message)
  await runners.open(request.grant.uid)
  return plain({ type: 'ok', id: request.id })
}

function check({ leases, host }: AdminServerOptions, { id, grant }: RequestOf<'check'>): Answer {
  const verdict = leases.judge(grant)
  if (!verdict.ok) return errorAnswer(id, verdict.reason, verdict.message)
  const unfiltered = grant.userNetwork === true ? whyNoUserNetwork(host.userNetwork()) : undefined
  const why =
    whyNoLink(host.network, grant) ?? (unfiltered === undefined ? undefined : { reason: 'UserNetworkMissing', message: unfiltered })
  return why === undefined ? plain({ type: 'ok', id }) : errorAnswer(id, why.reason, why.message)
}

async function revoke({ leases, runners }: AdminServerOptions, request: RequestOf<'revoke'>): Promise<Answer> {
  leases.revoke(request.uid)
  await runners.tidy(request.uid)
  return plain({ type: 'ok', id: request.id })
}

function plain(response: BrokerResponse): Answer {
  return { response, fds: [] }
}

function facts({ host, limits }: AdminServerOptions): BrokerFacts {
  const { devices, network } = host
  const userNetwork = host.userNetwork()
  return {
    devices: { kvm: devices.fact('kvm'), tun: devices.fact('tun'), vhostNet: devices.fact('vhostNet') },
    bridges: limits.bridges.flatMap((name) => network.bridge(name) ?? []),
    direct: limits.devices.flatMap((name) => network.device(name) ?? []),
    nicFeatures: [...nicFeatures],
    ...(userNetwork === undefined ? {} : { userNetwork }),
  }
}

async function probe(options: AdminServerOptions, request: RequestOf<'arp' | 'ping'>): Promise<ProbeOutcome> {
  const refused = (reason: string, message: string): ProbeOutcome => ({ outcome: 'unknown', reason, message, mac: null, rttMs: null })
  const { limits, host } = options
  const isDevice = limits.devices.includes(request.bridge)
  if (!isDevice && !limits.bridges.includes(request.bridge))
    return refused('BridgeNotAllowed', `the broker was not started with --allow-bridge ${request.bridge}`)
  const bridge = isDevice ? host.network.device(request.bridge) : host.network.bridge(request.bridge)
  if (bridge === undefined) return refused('BridgeMissing', `there is no bridge ${request.bridge} on this node`)
  return request.type === 'arp'
    ? options.probes.arp(bridge, request.ip, request.mac, request.timeoutMs)
    : options.probes.ping(bridge, request.ip, request.timeoutMs)
}
