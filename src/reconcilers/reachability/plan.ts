import type { ConditionDraft } from '../../api/conditions.ts'
import type { Plan } from '../reconciler.ts'
import { pickAddress } from './address.ts'
import type { ReachabilitySeen } from './observe.ts'
import { isYoung } from '../shared/vm-service.ts'
import { allRungs, climb } from './rungs.ts'

const climbingMs = 1_000
/** Nothing has come of its task for minutes, or there is none: a new one is told of by the services reconciler's run. */
const stuckMs = 5_000
/** No agent is asked, since the VM has no node or no task: whatever changes that is heard of. */
const nobodyMs = 60_000
const steadyMs = 10_000

export function planReachability(seen: ReachabilitySeen, nowMs: number): Plan<never> {
  const { declaration } = seen
  if (declaration.kind !== 'present') return { actions: [], conditions: [], next: { kind: 'settled' } }
  const halted = declaration.vm.spec.runStrategy === 'Halted'
  const conditions = halted ? allRungs('False', 'Halted', 'the manifest says runStrategy: Halted') : judge(seen)
  const steady = halted || conditions.every((one) => one.status === 'True')
  const waitingMs = seen.status === undefined ? nobodyMs : stuckMs
  const ms = steady ? steadyMs : isYoung(seen.task, nowMs) ? climbingMs : waitingMs
  return { actions: [], conditions, next: { kind: 'requeueAfter', ms }, facts: factsOf(seen) }
}

function judge(seen: ReachabilitySeen): ConditionDraft[] {
  const { status, node } = seen
  if (status === undefined || status.known) return climb(seen)
  // That an agent does not answer says nothing about the guest beside it.
  return allRungs('Unknown', 'AgentUnreachable', `the agent on ${node?.hostname ?? 'its node'} does not answer (${status.message})`)
}

/** What a table of VMs shows beside the conditions; a key is absent where nothing is known. */
function factsOf(seen: ReachabilitySeen): Readonly<Record<string, string>> {
  const { uid, node, nic, status, probing, task } = seen
  const vm = status?.known === true ? status.value : undefined
  const ip = nic === undefined || vm === undefined ? undefined : pickAddress(vm.sightings, nic.mac)?.ip
  const facts = {
    uid,
    node: node?.hostname,
    task: task?.id,
    mac: nic?.mac,
    ip,
    accelerator: vm?.runner?.accelerator ?? undefined,
    probeNode: probing.kind === 'done' ? probing.probed.hostname : undefined,
  }
  return Object.fromEntries(Object.entries(facts).filter((entry): entry is [string, string] => entry[1] !== undefined))
}
