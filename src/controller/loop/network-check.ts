import type { Clock } from '../../ports/clock.ts'
import { sleep } from '../../api/time.ts'
import { messageOf } from '../../api/error-message.ts'
import type { Log } from '../../ports/log.ts'
import { userNetworkConfig } from '../../api/user-network.ts'
import type { Networks } from '../../ports/networks.ts'

export interface NetworkCheckPorts {
  readonly networks: Networks
  readonly clock: Clock
  readonly log: Log
  readonly guests: string
  readonly control: string
  /** The network of VMs behind NAT. */
  readonly user: string
}

/** Rarely, because only an operator changes networks. */
const everyMs = 600_000

/** Logs security problems of the two overlays at the start and whenever they change. Ends with the signal. */
export async function checkNetworks(ports: NetworkCheckPorts, signal: AbortSignal): Promise<void> {
  let said: readonly string[] = []
  while (!signal.aborted) {
    said = await checkOnce(ports, said, signal)
    await sleep(ports.clock, everyMs, signal).catch(() => undefined)
  }
}

async function checkOnce(ports: NetworkCheckPorts, said: readonly string[], signal: AbortSignal): Promise<readonly string[]> {
  const { networks, log, guests, control, user } = ports
  try {
    const found = [
      ...(await guestsProblems(networks, guests, signal)),
      ...(await controlProblems(networks, control, signal)),
      ...(await userProblems(networks, user, signal)),
    ]
    for (const one of found) if (!said.includes(one.message)) log[one.level]({ network: one.network }, one.message)
    return found.map((one) => one.message)
  } catch (error) {
    if (!signal.aborted) log.debug({ reason: messageOf(error) }, 'Cannot read the networks')
    return said
  }
}

interface Problem {
  readonly level: 'warn' | 'info'
  readonly network: string
  readonly message: string
}

async function guestsProblems(networks: Networks, network: string, signal: AbortSignal): Promise<readonly Problem[]> {
  const facts = await networks.getNetwork(network, signal)
  if (facts?.isInternal === true) return []
  const message =
    facts === undefined
      ? 'The overlay of the VM tasks does not exist, so no VM can start; run docker vm install'
      : 'The overlay of the VM tasks is not internal, so they reach the ports of their node; docker vm install says how to move'
  return [{ level: 'warn', network, message }]
}

/** Only this config has the bridge that the brokers filter (ADR 0031). A cluster without VMs behind NAT needs no such network. */
async function userProblems(networks: Networks, network: string, signal: AbortSignal): Promise<readonly Problem[]> {
  const facts = await networks.getNetwork(network, signal)
  if (facts === undefined || facts.configFrom === userNetworkConfig) return []
  const message = `The network of VMs behind NAT is not made from ${userNetworkConfig}, so the nodes do not filter it; remove it and run docker vm install`
  return [{ level: 'warn', network, message }]
}

async function controlProblems(networks: Networks, network: string, signal: AbortSignal): Promise<readonly Problem[]> {
  const facts = await networks.getNetwork(network, signal)
  if (facts === undefined || facts.isEncrypted) return []
  const message = 'The control overlay is not encrypted; close UDP port 4789 to all but the nodes (docs/how-to/close-node-ports.md)'
  return [{ level: 'info', network, message }]
}
