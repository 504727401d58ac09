import { objectLabels } from '../../api/labels.ts'
import type { NodeFacts } from '../../api/wire/agent-api.ts'
import type { Agents } from '../../ports/agents.ts'
import type { ClusterSettings } from '../../ports/settings.ts'
import type { Swarm, SwarmNode, SwarmService, SwarmTask } from '../../ports/swarm.ts'
import { type Asked, ask } from '../shared/asked.ts'
import { type PlacementRecord, readPlacementRecords } from '../shared/placement-record.ts'
import { ownershipOf, vmOf } from '../shared/vm-service.ts'

export interface NodesPorts {
  readonly swarm: Pick<Swarm, 'listNodes' | 'listConfigs' | 'listServices' | 'listTasks' | 'updateNodeLabels'>
  readonly agents: Agents
  readonly settings: Pick<ClusterSettings, 'softwareEmulation'>
}

export interface NodesSeen {
  /** Undefined where the node is no member any more. */
  readonly node: SwarmNode | undefined
  readonly facts: Asked<NodeFacts>
  /** Of all VMs of the Swarm. */
  readonly records: readonly PlacementRecord[]
  /** Every service of a VM. */
  readonly services: readonly SwarmService[]
  /** Tasks on this node, of whatever service. */
  readonly tasks: readonly SwarmTask[]
  readonly softwareEmulation: boolean
}

/** Ours, and those a person took from us: they are left alone, and a label taken from under them would kill their VM. */
function livesByLabels(service: SwarmService): boolean {
  const vm = vmOf(service)
  const kind = ownershipOf(vm, service).kind
  return vm !== '' && (kind === 'ours' || kind === 'lost')
}

/** The node comes first and the tasks last, so that a label is never judged by tasks older than it. */
export async function observeNode(ports: NodesPorts, nodeId: string, signal: AbortSignal): Promise<NodesSeen> {
  const { swarm, agents, settings } = ports
  const node = (await swarm.listNodes(signal)).find((one) => one.id === nodeId)
  // Docker refuses to list the tasks of a node that is no member.
  const { softwareEmulation } = settings
  if (node === undefined) {
    return { node, facts: { known: false, message: 'no member' }, records: [], services: [], tasks: [], softwareEmulation }
  }
  const facts = await ask(agents.on(nodeId).facts(signal))
  const records = readPlacementRecords(await swarm.listConfigs(`${objectLabels.component}=placement`, signal))
  const services = (await swarm.listServices(undefined, signal)).filter(livesByLabels)
  const tasks = await swarm.listTasks({ nodeId }, signal)
  return { node, facts, records, services, tasks, softwareEmulation }
}
