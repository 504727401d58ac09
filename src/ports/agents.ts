import type { DeleteDisksOrder, DeletionStatus } from '../api/wire/delete-disks.ts'
import type {
  InstanceRecord,
  NodeFacts,
  OrderProgress,
  PrepareOrder,
  PrepareStatus,
  ProbeOutcome,
  ProbeRequest,
  VmStatus,
} from '../api/wire/agent-api.ts'
import type { NodeId, VmUid } from '../api/names.ts'
import type { GuestControl } from '../api/wire/runner-control.ts'
import type { KnownAnswer } from '../api/wire/unchanged.ts'

export interface ProgressQuestion {
  readonly uid: VmUid
  /** The mark of the order. */
  readonly order: string
  /** The agent only repeats its last answer. */
  readonly dryRun?: true
}

/** One node's agent. Every method throws PortError; `Unavailable` if the agent is unreachable, which says nothing about its VMs. */
export interface Agent {
  facts(signal?: AbortSignal): Promise<NodeFacts>
  instances(signal?: AbortSignal): Promise<readonly InstanceRecord[]>
  /** Idempotent. */
  prepare(order: PrepareOrder, signal?: AbortSignal): Promise<PrepareStatus>
  /** The agent goes on with an order that it has accepted. Undefined if the agent is too old for this request. */
  progress(question: ProgressQuestion, signal?: AbortSignal): Promise<OrderProgress | undefined>
  revoke(uid: VmUid, signal?: AbortSignal): Promise<void>
  /** Idempotent and irreversible. Send it again to poll the progress. */
  deleteDisks(order: DeleteDisksOrder, signal?: AbortSignal): Promise<DeletionStatus>
  vm(uid: VmUid, signal?: AbortSignal): Promise<VmStatus>
  /** `Denied` with the reason if the runner refuses, or if it or the agent is too old. */
  control(uid: VmUid, action: GuestControl, signal?: AbortSignal): Promise<void>
  probe(request: ProbeRequest, signal?: AbortSignal): Promise<ProbeOutcome>
  /** The indexes of the answers that are still valid. Undefined if the agent is too old for this request. */
  unchanged(known: readonly KnownAnswer[], signal?: AbortSignal): Promise<readonly number[] | undefined>
}

export interface Agents {
  /** The agent of a node by Swarm node ID. Never throws: a node without a reachable agent fails at the first call. */
  on(nodeId: NodeId): Agent
}
