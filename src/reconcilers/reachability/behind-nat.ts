import type { VirtualMachine } from '../../api/manifest.ts'
import type { NodeId, VmUid } from '../../api/names.ts'
import type { NodePortProbe, VmStatus } from '../../api/wire/agent-api.ts'
import type { Agents } from '../../ports/agents.ts'
import type { SwarmNode, SwarmTask } from '../../ports/swarm.ts'
import { answerOf } from '../shared/answers.ts'
import type { UserNic } from '../shared/applied.ts'
import { publishedAddress } from '../shared/node-address.ts'
import { whyOfAnother } from './of-task.ts'
import { type AskedPort, guestAgentRequest, otherNodes, type Probing, type PublishedProbe } from './probing.ts'

interface Guest {
  readonly uid: VmUid
  readonly node: SwarmNode
  readonly nic: UserNic
  readonly vm: VirtualMachine
  readonly task: SwarmTask | undefined
  readonly status: VmStatus | undefined
}

const timeoutMs = 2_000

/**
 * No address of the guest is reachable from outside. Another node asks the port that the VM's node publishes, and the runner asks the guest
 * for the readiness probe.
 */
export async function probeBehindNat(agents: Agents, guest: Guest, nodes: readonly SwarmNode[], signal: AbortSignal): Promise<Probing> {
  const { status, task } = guest
  if (status?.runner?.phase !== 'Running') return { kind: 'notYet' }
  if (task !== undefined && whyOfAnother(task, status) !== undefined) return { kind: 'notYet' }
  const published = await askPublished(agents, guest, nodes, signal)
  return { kind: 'behindNat', published, readiness: await askReadiness(agents, guest, signal) }
}

/** A TCP port that is published. A datagram that nobody answers says nothing. */
function publishedPort({ user }: UserNic): number | undefined {
  return user.ports.find(({ protocol, published }) => protocol === 'tcp' && published !== undefined)?.published
}

async function askPublished(
  agents: Agents,
  { node, nic }: Guest,
  nodes: readonly SwarmNode[],
  signal: AbortSignal,
): Promise<PublishedProbe> {
  const [port, ip] = [publishedPort(nic), publishedAddress(node)]
  if (port === undefined) return { kind: 'none' }
  const probers = otherNodes(node, nodes)
  if (ip === undefined) return { kind: 'noAddress' }
  if (probers.length === 0) return { kind: 'nobody' }
  const request: NodePortProbe = { version: 1, kind: 'nodePort', ip, port, timeoutMs }
  const silent: string[] = []
  let denied: AskedPort<NodePortProbe> | undefined
  for (const prober of probers) {
    const answer = await answerOf(ask(agents, prober, request, signal))
    if (!answer.known) silent.push(`${prober.hostname}: ${answer.message}`)
    else if (answer.value.outcome.outcome === 'reached') return { kind: 'asked', asked: answer.value }
    else denied ??= answer.value
  }
  return denied === undefined ? { kind: 'silent', message: silent.join('; ') } : { kind: 'asked', asked: denied }
}

async function askReadiness(agents: Agents, { uid, node, vm }: Guest, signal: AbortSignal): Promise<AskedPort | undefined> {
  const { readiness } = vm.spec
  const tcp = readiness !== undefined && 'tcp' in readiness ? readiness.tcp : undefined
  const port = tcp === undefined ? undefined : ({ version: 1, kind: 'guestPort', uid, port: tcp, timeoutMs } as const)
  const request = guestAgentRequest(vm, uid) ?? port
  if (request === undefined) return undefined
  const answer = await answerOf(ask(agents, node, request, signal))
  return answer.known ? answer.value : undefined
}

async function ask<Request extends AskedPort['request']>(
  agents: Agents,
  { id, hostname }: { readonly id: NodeId; readonly hostname: string },
  request: Request,
  signal: AbortSignal,
): Promise<AskedPort<Request>> {
  return { nodeId: id, hostname, request, outcome: await agents.on(id).probe(request, signal) }
}
