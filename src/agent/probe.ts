import type { GuestPortProbe, LanProbe, ProbeOutcome, ProbeRequest } from '../api/wire/agent-api.ts'
import { PortError } from '../ports/errors.ts'
import type { Runners } from '../ports/runners.ts'
import type { TcpConnect, TcpOutcome } from '../ports/tcp-connect.ts'
import { BrokerRefusal, type BrokerLink } from './broker-link.ts'
import { guestProbe } from './guest-probe.ts'
import { serviceProbe } from './service-probe.ts'

export interface ProbeTools {
  readonly broker: BrokerLink
  readonly tcpConnect: TcpConnect
  readonly runners: Pick<Runners, 'guestPort' | 'status' | 'exec'>
}

/** Extra time for the broker beyond the probe's own timeout. */
const slackMs = 2_000

/**
 * Probes from this node whether an address on a bridge is reachable. `unknown` means that no probe was possible, and says nothing about the guest.
 * The broker does ARP and ping. The agent does TCP and the protocols on it through docker_gwbridge, which works if the host has an address on the
 * bridge.
 */
export async function probe(
  request: ProbeRequest,
  { broker, tcpConnect, runners }: ProbeTools,
  signal: AbortSignal,
): Promise<ProbeOutcome> {
  try {
    switch (request.kind) {
      case 'arp':
      case 'ping':
        return await askBroker(request, broker)
      case 'tcp':
      case 'http':
      case 'ssh':
        return await probeTcp(request, broker, tcpConnect, signal)
      case 'nodePort': {
        const { ip, port, timeoutMs } = request
        return explain(await tcpConnect({ ip, port, timeoutMs }, signal), `${ip}:${port}`, timeoutMs)
      }
      case 'guestPort':
        return await askRunner(request, runners, signal)
      case 'guestAgent':
      case 'exec':
        return await guestProbe(request, runners, signal)
    }
  } catch (error) {
    if (error instanceof BrokerRefusal) return unknown(error.reason, error.message)
    if (error instanceof PortError) return unknown(isOfRunner(request) ? 'RunnerUnreachable' : 'BrokerUnavailable', error.message)
    throw error
  }
}

function isOfRunner({ kind }: ProbeRequest): boolean {
  return kind === 'guestPort' || kind === 'guestAgent' || kind === 'exec'
}

/** The runner asks the guest through QEMU's NAT. */
async function askRunner(
  { uid, port, timeoutMs }: GuestPortProbe,
  runners: ProbeTools['runners'],
  signal: AbortSignal,
): Promise<ProbeOutcome> {
  const state = await runners.guestPort(uid, port, timeoutMs, signal)
  const common = { mac: null, rttMs: null } as const
  switch (state) {
    case 'accepts':
      return { outcome: 'reached', reason: 'Connected', message: `the guest accepts connections to port ${port}`, ...common }
    case 'refuses':
      return { outcome: 'unreached', reason: 'ConnectionRefused', message: `the guest refuses connections to port ${port}`, ...common }
    case 'silent':
      return {
        outcome: 'unreached',
        reason: 'NoAnswer',
        message: `the guest did not answer on port ${port} within ${timeoutMs} ms`,
        ...common,
      }
    case 'notForwarded':
      return unknown('NotForwarded', `the VM runs without a forward of port ${port}; it needs a restart`)
  }
}

async function askBroker(request: LanProbe, broker: BrokerLink): Promise<ProbeOutcome> {
  const { bridge, ip, mac, timeoutMs } = request
  const common = { bridge, ip, timeoutMs }
  const question =
    request.kind === 'arp'
      ? ({ type: 'arp', ...common, ...(mac === undefined ? {} : { mac }) } as const)
      : ({ type: 'ping', ...common } as const)
  return (await broker.ask(question, 'probe', timeoutMs + slackMs)).probe
}

async function probeTcp(request: LanProbe, broker: BrokerLink, tcpConnect: TcpConnect, signal: AbortSignal): Promise<ProbeOutcome> {
  const { bridge, ip, port, timeoutMs } = request
  if (port === undefined) return unknown('PortMissing', `a probe of kind ${request.kind} needs a port`)
  const { facts } = await broker.ask({ type: 'facts' }, 'facts', slackMs)
  const fact = [...facts.bridges, ...(facts.direct ?? [])].find((one) => one.name === bridge)
  if (fact === undefined) return unknown('BridgeMissing', `this node has no bridge ${bridge} that the broker may use`)
  if (fact.address === null)
    return unknown('NoAddressOnBridge', `this host has no address on ${bridge}, so it cannot probe above layer 2 there`)
  const service = serviceProbe(request)
  const outcome = await tcpConnect({ ip, port, timeoutMs, ...(service === undefined ? {} : { talk: service.talk }) }, signal)
  const target = `${ip}:${port}`
  if (service === undefined || outcome.kind !== 'connected') return explain(outcome, target, timeoutMs)
  const judgement = service.judge(outcome.received, target)
  return { ...judgement, mac: null, rttMs: judgement.outcome === 'reached' ? outcome.rttMs : null }
}

function explain(outcome: TcpOutcome, target: string, timeoutMs: number): ProbeOutcome {
  switch (outcome.kind) {
    case 'connected':
      return { outcome: 'reached', reason: 'Connected', message: `${target} accepted the connection`, mac: null, rttMs: outcome.rttMs }
    case 'refused':
      return {
        outcome: 'unreached',
        reason: 'ConnectionRefused',
        message: `${target} refused the connection: nothing listens there`,
        mac: null,
        rttMs: null,
      }
    case 'silent':
      return {
        outcome: 'unreached',
        reason: 'NoAnswer',
        message: `${target} did not answer within ${timeoutMs} ms`,
        mac: null,
        rttMs: null,
      }
    case 'noRoute':
      return unknown('NoRoute', `this node's agent has no route to ${target}: ${outcome.message}`)
  }
}

function unknown(reason: string, message: string): ProbeOutcome {
  return { outcome: 'unknown', reason, message: message.slice(0, 2000), mac: null, rttMs: null }
}
