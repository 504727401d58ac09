import { type ConditionDraft, condition } from '../../api/conditions.ts'
import { followDiskAnnotation } from '../../api/manifest/annotations.ts'
import type { VirtualMachine } from '../../api/manifest.ts'
import type { Agents } from '../../ports/agents.ts'
import type { SwarmNode } from '../../ports/swarm.ts'
import { ask, askFor } from '../shared/asked.ts'
import type { PlacementRecord } from '../shared/placement-record.ts'

/** What is looked for, and the node that the record names. */
interface Missing extends Pick<PlacementRecord, 'uid' | 'vm'> {
  readonly cluster: string
  readonly node: SwarmNode
}

/**
 * A machine that joins again is another node to Swarm, maybe under another host name, and its old entry stays listed as down. Gives the nodes on
 * which an agent reads this VM's identity beside its disks. Asks no agent while the record's node is up.
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

/** That a VM is not there costs an agent one look; the inventory costs many. */
async function hasDisks(agents: Agents, nodeId: string, { uid, vm, cluster }: Missing, signal: AbortSignal): Promise<boolean> {
  const agent = agents.on(nodeId)
  const status = await askFor(agent.vm(uid, signal))
  if (!status.known || status.value === undefined) return false
  const all = await ask(agent.instances(signal))
  return all.known && all.value.some((one) => one.uid === uid && one.vm === vm && one.cluster === cluster && one.disks.length > 0)
}

/** The one node on which the disks were seen, where the manifest names it: whether its disks are the newest a person knows. */
export function toFollow(found: readonly SwarmNode[], vm: VirtualMachine): SwarmNode | undefined {
  const word = vm.metadata.annotations[followDiskAnnotation]
  const [one, ...more] = found
  return one !== undefined && more.length === 0 && (word === one.id || word === one.hostname) ? one : undefined
}

/** A word that was given for another time is followed the next time that this node is down. */
export function withLeftoverWord(placed: ConditionDraft, node: SwarmNode, { metadata }: VirtualMachine): ConditionDraft {
  const word = metadata.annotations[followDiskAnnotation]
  if (word === undefined || word === node.id || word === node.hostname) return placed
  const hint = `${followDiskAnnotation} names ${word}, where the VM is not: take it out of the manifest, unless it waits for that node`
  return { ...placed, message: `${placed.message}; ${hint}` }
}

/** Two entries of one machine, or two machines: a person knows. Once the old entry is gone the disk is followed. */
export function diskElsewhere(found: readonly SwarmNode[], old: SwarmNode, { uid }: PlacementRecord, vm: VirtualMachine): ConditionDraft {
  const where = found.map((one) => `${one.hostname} under the node ID ${one.id}`).join(' and on ')
  const seen = `its disks (uid ${uid}) were seen on ${where}, and its record names ${old.hostname} (${old.id}), which is ${old.state}`
  return condition('Placed', 'False', 'DiskElsewhere', `${seen}; ${wayOut(found, old, vm)}`)
}

function wayOut(found: readonly SwarmNode[], old: SwarmNode, { metadata }: VirtualMachine): string {
  const [one, ...more] = found
  if (one === undefined || more.length > 0) return 'move all but one away'
  const word = metadata.annotations[followDiskAnnotation]
  const said = word === undefined ? '' : `; ${followDiskAnnotation} names ${word}, where they were not seen`
  const line = `${followDiskAnnotation}: "${one.id}"`
  return `if this is the machine that was ${old.hostname}, remove its old entry: docker node rm ${old.id}; or if these disks are the newest, add to metadata.annotations: ${line}${said}`
}
