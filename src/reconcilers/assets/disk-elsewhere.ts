import { type ConditionDraft, condition } from '../../api/conditions.ts'
import { followDiskAnnotation } from '../../api/manifest/annotations.ts'
import type { VirtualMachine } from '../../api/manifest.ts'
import type { Agents } from '../../ports/agents.ts'
import type { SwarmNode } from '../../ports/swarm.ts'
import { answerOf, answerOrNone } from '../shared/answers.ts'
import type { PlacementRecord } from '../shared/placement-record.ts'
import type { NodeId } from '../../api/names.ts'

/** The disks to find, and the node in their record. */
interface Missing extends Pick<PlacementRecord, 'uid' | 'vm'> {
  readonly cluster: string
  readonly node: SwarmNode
}

/**
 * Finds the nodes whose agent has disks with this VM's identity. A machine that rejoins is a new node for Swarm, maybe with another host
 * name, and its old entry stays listed as down. Asks no agent while the record's node is up.
 */
export async function disksElsewhere(
  agents: Agents,
  nodes: readonly SwarmNode[],
  missing: Missing,
  signal: AbortSignal,
): Promise<readonly SwarmNode[]> {
  if (missing.node.state !== 'down') return []
  const others = nodes.filter((one) => one.id !== missing.node.id && one.state === 'ready')
  const found = await Promise.all(others.map((one) => hasDisks(agents, one.id, missing, signal)))
  return others.filter((_, index) => found[index])
}

/** Asks for the VM first, because that is cheaper than reading the whole inventory. */
async function hasDisks(agents: Agents, nodeId: NodeId, { uid, vm, cluster }: Missing, signal: AbortSignal): Promise<boolean> {
  const agent = agents.on(nodeId)
  const status = await answerOrNone(agent.vm(uid, signal))
  if (!status.known || status.value === undefined) return false
  const all = await answerOf(agent.instances(signal))
  return all.known && all.value.some((one) => one.uid === uid && one.vm === vm && one.cluster === cluster && one.disks.length > 0)
}

/** The only node with the disks, if the manifest names it: only a user knows whether its disks are the newest. */
export function toFollow(found: readonly SwarmNode[], vm: VirtualMachine): SwarmNode | undefined {
  const named = vm.metadata.annotations[followDiskAnnotation]
  const [one, ...more] = found
  return one !== undefined && more.length === 0 && (named === one.id || named === one.hostname) ? one : undefined
}

/** Warns about a leftover annotation: it would take effect the next time this node is down. */
export function withLeftoverNote(placed: ConditionDraft, node: SwarmNode, { metadata }: VirtualMachine): ConditionDraft {
  const word = metadata.annotations[followDiskAnnotation]
  if (word === undefined || word === node.id || word === node.hostname) return placed
  const hint = `${followDiskAnnotation} names ${word}, but the VM is not there: remove the annotation unless you expect the VM to move to ${word}`
  return { ...placed, message: `${placed.message}; ${hint}` }
}

/** The two nodes may be the same machine; only a user knows. Once the old entry is removed, the VM follows its disk. */
export function diskElsewhere(found: readonly SwarmNode[], old: SwarmNode, { uid }: PlacementRecord, vm: VirtualMachine): ConditionDraft {
  const where = found.map((one) => `${one.hostname} under the node ID ${one.id}`).join(' and on ')
  const seen = `its disks (uid ${uid}) were found on ${where}, but its record names ${old.hostname} (${old.id}), which is ${old.state}`
  return condition('Placed', 'False', 'DiskElsewhere', `${seen}; ${wayOut(found, old, vm)}`)
}

function wayOut(found: readonly SwarmNode[], old: SwarmNode, { metadata }: VirtualMachine): string {
  const [one, ...more] = found
  if (one === undefined || more.length > 0) return 'keep the instance directory on one node and move the others away'
  const word = metadata.annotations[followDiskAnnotation]
  const said = word === undefined ? '' : `; ${followDiskAnnotation} names ${word}, but the disks are not there`
  const line = `${followDiskAnnotation}: "${one.id}"`
  return `if both are the same machine, remove its old entry: docker node rm ${old.id}; otherwise, if these disks are the newest, add to metadata.annotations: ${line}${said}`
}
