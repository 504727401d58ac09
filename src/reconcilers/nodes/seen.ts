import type { VmUid } from '../../api/names.ts'
import type { NodeFacts } from '../../api/wire/agent-api.ts'
import type { SwarmNode, SwarmService, SwarmTask } from '../../ports/swarm.ts'
import type { Answer } from '../shared/answers.ts'
import type { PlacementRecord } from '../shared/placement-record.ts'

export interface NodesSeen {
  /** Undefined if the node has left the Swarm. */
  readonly node: SwarmNode | undefined
  readonly facts: Answer<NodeFacts>
  /** Records of all VMs of the Swarm. */
  readonly records: readonly PlacementRecord[]
  /** Every service of a VM. */
  readonly services: readonly SwarmService[]
  /** Tasks of any service on this node; only read if a label would otherwise be removed or changed. */
  readonly tasks: readonly SwarmTask[]
  readonly softwareEmulation: boolean
  /** VMs that have a grant here although nothing refers to them; empty if the node was not asked this time. */
  readonly ownerless: readonly VmUid[]
}
