import { objectLabels } from '../../api/labels.ts'
import type { VirtualMachine } from '../../api/manifest.ts'
import type { VmName } from '../../api/names.ts'
import {
  alwaysRun,
  type FinishedRun,
  finishedIn,
  finishedText,
  isOver,
  policyOf,
  policyText,
  type RunPolicy,
} from '../../api/wire/run-policy.ts'
import type { Labels, SwarmService } from '../../ports/swarm.ts'
import { replicasOf } from './vm-service.ts'

/** Why a VM is off as wanted: also the reason of its conditions. `Stopped`: nobody started it, or somebody stopped it. */
const offReasons = ['Halted', 'Stopped', 'Succeeded', 'Failed'] as const
export type OffReason = (typeof offReasons)[number]

export function isOffReason(reason: string): reason is OffReason {
  return (offReasons as readonly string[]).includes(reason)
}

export type RunWish =
  | { readonly kind: 'on'; readonly policy: RunPolicy }
  | { readonly kind: 'off'; readonly policy: RunPolicy; readonly reason: OffReason; readonly message: string }

/** The labels that a person's `start` and `stop`, and the end of a guest, leave on the placement record and on the service. */
export interface RunNotes {
  /** The last request: `off`, or the name of a run. Undefined if there was none. */
  readonly request: string | undefined
  readonly finished: FinishedRun | undefined
  /** The policy that the node has. */
  readonly kept?: RunPolicy | undefined
  /** The service has a replica. An edit to `Manual` leaves such a VM running. */
  readonly isOn: boolean
}

export const offRequest = 'off'

/** The record decides. The service has a copy for the case that the record is lost. */
export function runNotes(record: Labels | undefined, service: Pick<SwarmService, 'labels' | 'spec'> | undefined): RunNotes {
  const of = (key: string): string | undefined => record?.[key] ?? service?.labels[key]
  const isOn = service !== undefined && replicasOf(service) > 0
  const kept = policyOf(record?.[objectLabels.runPolicy])
  const notes = { request: of(objectLabels.run), finished: finishedIn(of(objectLabels.finished)), isOn }
  return kept === undefined ? notes : { ...notes, kept }
}

/** Whether a VM shall run, by the manifest's runStrategy and by what has happened. Pure. */
export function runWish({ metadata, spec }: Pick<VirtualMachine, 'metadata' | 'spec'>, notes: RunNotes): RunWish {
  const { request, finished, kept, isOn: isRunning } = notes
  const { runStrategy } = spec
  const { name } = metadata
  if (runStrategy === 'Always') return { kind: 'on', policy: alwaysRun }
  // Another policy would let a runner that has not stopped yet start a finished guest again, and forget its end.
  if (runStrategy === 'Halted') return off(kept ?? alwaysRun, 'Halted', 'the manifest says runStrategy: Halted')
  const isOn = request !== undefined && request !== offRequest
  // `Once` has one run, so that no request begins another.
  const policy: RunPolicy = { strategy: runStrategy, run: isOn && runStrategy !== 'Once' ? request : '' }
  if (isOver(policy, finished)) return off(policy, finished.result, finishedMessage(name, policy, finished))
  if (runStrategy === 'Once') return { kind: 'on', policy }
  if (request === offRequest) return off(policy, 'Stopped', `stopped by docker vm stop; to start it: docker vm start ${name}`)
  if (runStrategy === 'Manual' && !isOn && !isRunning)
    return off(policy, 'Stopped', `runStrategy: Manual, and nobody has started it: docker vm start ${name}`)
  return { kind: 'on', policy }
}

function off(policy: RunPolicy, reason: OffReason, message: string): RunWish {
  return { kind: 'off', policy, reason, message }
}

function finishedMessage(name: VmName, { strategy }: RunPolicy, { result }: FinishedRun): string {
  const what = result === 'Succeeded' ? 'the guest shut itself down' : 'the guest crashed'
  const next = strategy === 'Once' ? 'runStrategy: Once never runs it again' : `to run it again: docker vm start ${name}`
  return `${what}; ${next}`
}

/** The labels of the service, so that a change of them is no drift of the replicas. Undefined for `Always` and `Halted`. */
export function runLabels(wish: RunWish, { request, finished }: RunNotes): Labels {
  if (wish.policy.strategy === 'Always' || (wish.kind === 'off' && wish.reason === 'Halted')) return {}
  return {
    ...(request === undefined ? {} : { [objectLabels.run]: request }),
    ...(finished === undefined ? {} : { [objectLabels.finished]: finishedText(finished) }),
  }
}

/**
 * True once the node has the policy (`swarmvirt.run-policy` on the record). Before that its runner would start the guest again after its end, as
 * release 0.1 does. `Always` needs no policy.
 */
export function isPolicyKept({ policy }: RunWish, record: Labels | undefined): boolean {
  return policy.strategy === 'Always' || record?.[objectLabels.runPolicy] === policyText(policy)
}
