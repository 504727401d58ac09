import { type ConditionDraft, condition } from '../../api/conditions.ts'
import type { PrepareOrder, PrepareStatus } from '../../api/wire/agent-api.ts'
import type { Next } from '../reconciler.ts'
import type { Answer } from '../shared/answers.ts'
import type { MachineCheck } from '../shared/applied.ts'
import { whyAway } from '../shared/away.ts'
import type { AssetsSeen } from './observe.ts'

const waiting = 'has no node yet'

/** The conditions of a VM without a node. */
export function waitingConditions(): ConditionDraft[] {
  return [
    condition('AssetsReady', 'Unknown', 'WaitingForPlaced', waiting),
    condition('SoftwareEmulation', 'Unknown', 'WaitingForPlaced', waiting),
  ]
}

export interface Prepared {
  readonly conditions: readonly ConditionDraft[]
  readonly next: Next
  /** The node reports that the disks exist. */
  readonly disksMade: boolean
}

export function preparedConditions(seen: AssetsSeen, prepared: Answer<PrepareStatus>, hostname: string): Prepared {
  // An unreachable agent says nothing about a VM that runs there.
  if (!prepared.known) {
    const { reason, message } = whyAway(seen.node, prepared.message)
    return unknown(reason, message)
  }
  const status = prepared.value
  switch (status.state) {
    case 'ready':
      if (seen.order?.live !== undefined && status.live === undefined) return unready(seen, agentTooOld, hostname, 15_000)
      return {
        conditions: [
          condition(
            'AssetsReady',
            'True',
            'Prepared',
            `image, disk and grant are ready on ${hostname}${liveText(status)}${pendingText(seen, status, hostname)}`,
          ),
          emulation(seen, status),
        ],
        next: again(30_000),
        disksMade: true,
      }
    case 'preparing':
      return unready(seen, status, hostname, 1_000)
    case 'failed':
      return failed(seen, status, hostname)
  }
}

const agentTooOld = {
  state: 'failed',
  reason: 'AgentTooOld',
  message: 'its agent is of an earlier release, which does not support CD-ROM drives and live edits; update the agent',
} as const

/** Names the edits that the running guest does not have. It has them after a restart at the latest. */
function liveText({ live }: Extract<PrepareStatus, { state: 'ready' }>): string {
  return live === undefined || live.message === '' ? '' : `; the running guest does not have all live edits: ${live.message}`
}

function pendingText({ order }: AssetsSeen, status: PrepareStatus, hostname: string): string {
  const { pending } = status
  const verdict = checkIn(order, status) === 'refused' ? 'cannot be granted there' : 'has not been checked there yet'
  if (pending !== undefined) return `; the pending edit ${verdict}: ${pending.reason}: ${pending.message}`
  if (order === undefined || !isUnchecked(order, status)) return ''
  const agent = `; the agent on ${hostname} is of`
  if (order.pending?.networks !== undefined) return `${agent} an earlier release without user networks: update the agent`
  return `${agent} release 0.1 and cannot check the pending edit: update the agent, or halt the VM to apply it unchecked`
}

/** The node cannot tell yet whether it can grant the edit, or it still copies a kernel. */
const undecided: ReadonlySet<string> = new Set(['BrokerUnavailable', 'KvmProbing', 'ImageArriving'])

/** The node's check of the pending edit. */
export function checkIn(order: PrepareOrder | undefined, { pending, pendingAccepted, pendingNetworks }: PrepareStatus): MachineCheck {
  if (order?.pending?.networks !== undefined && pendingNetworks !== true) return 'unchecked'
  if (pendingAccepted === true) return 'accepted'
  return pending === undefined || undecided.has(pending.reason) ? 'unchecked' : 'refused'
}

/** The agent rejects the order as a whole, so it checked nothing. */
const refusedOrders: readonly string[] = ['Refused', 'Denied']

/** An agent of release 0.1 ignores a pending edit, or its user networks. */
export function isUnchecked({ pending }: PrepareOrder, status: PrepareStatus): boolean {
  if (status.state === 'failed' && refusedOrders.includes(status.reason)) return false
  if (pending?.networks !== undefined && status.pendingNetworks !== true) return true
  return pending !== undefined && status.pending === undefined && status.pendingAccepted === undefined
}

/** Edits that would destroy data, and orders that the agent rejects: retrying is useless until the manifest or the release changes. */
const refusedEdits: ReadonlySet<string> = new Set([
  'ImageChangeRefused',
  'DiskResizeUnsupported',
  'DiskRenameRefused',
  'DiskAddUnsupported',
  ...refusedOrders,
])

type Unready = Exclude<PrepareStatus, { state: 'ready' }>

function failed(seen: AssetsSeen, status: Unready, hostname: string): Prepared {
  const { reason, message } = status
  // The user who halts the VM is waiting, so check soon.
  if (reason === 'DiskInUse') return unready(seen, status, hostname, 2_000)
  // An operator may provide the image or free disk space, which causes no event.
  const prepared = unready(seen, status, hostname, 15_000)
  return refusedEdits.has(reason) ? { ...prepared, next: { kind: 'stalled', reason, message: `${hostname}: ${message}` } } : prepared
}

function unknown(reason: string, message: string): Prepared {
  const conditions = [condition('AssetsReady', 'Unknown', reason, message), condition('SoftwareEmulation', 'Unknown', reason, message)]
  return { conditions, next: again(2_000), disksMade: false }
}

function unready(seen: AssetsSeen, status: Unready, hostname: string, ms: number): Prepared {
  const conditions = [
    condition('AssetsReady', 'False', status.reason, `${hostname}: ${status.message}${pendingText(seen, status, hostname)}`),
    condition('SoftwareEmulation', 'Unknown', 'WaitingForAssetsReady', 'the accelerator is chosen once the assets are ready'),
  ]
  return { conditions, next: again(ms), disksMade: false }
}

function emulation({ declaration }: AssetsSeen, status: Extract<PrepareStatus, { state: 'ready' }>): ConditionDraft {
  if (status.accelerator === 'kvm') return condition('SoftwareEmulation', 'False', 'KvmInUse', 'the guest runs with KVM')
  if (declaration.kind === 'present' && declaration.vm.spec.accelerator === 'tcg') {
    return condition('SoftwareEmulation', 'False', 'TcgAskedFor', 'the manifest requests tcg')
  }
  return condition('SoftwareEmulation', 'True', 'KvmUnusable', status.emulationReason || 'KVM cannot be used on this node')
}

function again(ms: number): Next {
  return { kind: 'requeueAfter', ms }
}
