import type { VmUid } from '../../api/names.ts'
import type { NodeFacts } from '../../api/wire/agent-api.ts'
import type { SwarmNode, SwarmService, SwarmTask } from '../../ports/swarm.ts'
import type { Asked } from '../shared/asked.ts'
import type { PlacementRecord } from '../shared/placement-record.ts'

export interface NodesSeen {
  /** Undefined where the node is no member any more. */
  readonly node: SwarmNode | undefined
  readonly facts: Asked<NodeFacts>
  /** Of all VMs of the Swarm. */
  readonly records: readonly PlacementRecord[]
  /** Every service of a VM. */
  readonly services: readonly SwarmService[]
  /** All tasks on this node; empty where they were not needed, because no label is removed or changed. */
  readonly tasks: readonly SwarmTask[]
  readonly softwareEmulation: boolean
  /** VMs that still have a grant here and are named by nothing; empty where the node was not asked at this look. */
  readonly ownerless: readonly VmUid[]
}
