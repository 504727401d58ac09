import { memoised } from '../../api/memoised.ts'
import type { Agents } from '../../ports/agents.ts'
import type { Declarations } from '../../ports/declarations.ts'
import type { Clock } from '../../ports/clock.ts'
import type { ClusterSettings } from '../../ports/settings.ts'
import type { Swarm, SwarmNode, SwarmService, SwarmTask } from '../../ports/swarm.ts'
import { answerOf } from '../shared/answers.ts'
import { ownerlessGrants } from './ownerless.ts'
import { type PlacementRecord, readPlacementRecords, recordsLabel } from '../shared/placement-record.ts'
import { isLive, isVmService } from '../shared/vm-service.ts'
import { keepsLabels } from './plan.ts'
import type { NodesSeen } from './seen.ts'
import type { NodeId } from '../../api/names.ts'

export interface NodesPorts {
  readonly swarm: Pick<Swarm, 'listNodes' | 'listConfigs' | 'getConfig' | 'listServices' | 'getService' | 'listTasks' | 'updateNodeLabels'>
  readonly agents: Agents
  readonly settings: Pick<ClusterSettings, 'softwareEmulation' | 'cluster'>
  readonly declarations: Pick<Declarations, 'isNowhere'>
  readonly clock: Pick<Clock, 'elapsed'>
}

/** Cached by the list, because all nodes read the same one while nothing changes. */
const livingIn = memoised((services: readonly SwarmService[]): readonly SwarmService[] => services.filter(isVmService))

/**
 * Reads the node first, so that its tasks are never older than its labels. Reads the tasks and services that depend on the labels only if
 * something would be removed. With `sweep` it also asks the node for its grants.
 */
export async function observeNode(ports: NodesPorts, nodeId: NodeId, sweep: boolean, signal: AbortSignal): Promise<NodesSeen> {
  const { swarm, agents, settings } = ports
  const node = (await swarm.listNodes(signal)).find((one) => one.id === nodeId)
  // Docker refuses to list the tasks of a node that is no member.
  const { softwareEmulation } = settings
  if (node === undefined) {
    return { node, facts: { known: false, message: 'no member' }, records: [], services: [], tasks: [], softwareEmulation, ownerless: [] }
  }
  const facts = await answerOf(agents.on(nodeId).facts(signal))
  const instances = sweep ? await answerOf(agents.on(nodeId).instances(signal)) : undefined
  const records = await recordsIn(swarm, signal)
  const known = await swarm.listServices(undefined, signal)
  const seen = { node, facts, records, services: livingIn(known), tasks: [], softwareEmulation, ownerless: [] }
  if (instances?.known !== true && keepsLabels(seen, node)) return seen
  const living = await observeWhatLives(swarm, node, signal)
  const owners = { swarm, declarations: ports.declarations, cluster: settings.cluster, records, services: living.services }
  const ownerless = instances?.known === true ? await ownerlessGrants(owners, instances.value, signal) : []
  // A VM may have been placed here in the meantime. Its record is created before its service, so read the records last.
  return { ...seen, ...living, ownerless, records: await recordsIn(swarm, signal) }
}

async function observeWhatLives(
  swarm: NodesPorts['swarm'],
  node: SwarmNode,
  signal: AbortSignal,
): Promise<Pick<NodesSeen, 'services' | 'tasks'>> {
  const tasks = await swarm.listTasks({ nodeId: node.id }, signal)
  const known = await swarm.listServices(undefined, signal)
  const services = [...known, ...(await unlistedServices(swarm, known, tasks, signal))].filter(isVmService)
  return { services, tasks }
}

async function recordsIn(swarm: Pick<Swarm, 'listConfigs'>, signal: AbortSignal): Promise<readonly PlacementRecord[]> {
  return readPlacementRecords(await swarm.listConfigs(recordsLabel, signal))
}

/**
 * A list may be stale: a leader that is cut off still answers for about a second. A service that a task refers to but the list lacks is
 * read by ID before anything is removed.
 */
async function unlistedServices(
  swarm: Pick<Swarm, 'getService'>,
  known: readonly SwarmService[],
  tasks: readonly SwarmTask[],
  signal: AbortSignal,
): Promise<readonly SwarmService[]> {
  const ids = new Set(tasks.filter((one) => isLive(one) || one.desiredState === 'running').map((one) => one.serviceId))
  for (const { id } of known) ids.delete(id)
  const services = await Promise.all([...ids].map((id) => swarm.getService(id, signal)))
  return services.filter((one) => one !== undefined)
}
