import type { Condition } from '../../api/conditions.ts'
import type { Phase } from '../../api/phases.ts'
import type { Declaration } from '../../ports/declarations.ts'

type Held = Pick<Condition, 'type' | 'status' | 'reason' | 'observedGeneration'>

/** One word for a list; no decision depends on it. */
export function phaseOf(declaration: Declaration, conditions: readonly Held[]): Phase {
  const holds = (type: Condition['type']): boolean => conditions.some((one) => one.type === type && one.status === 'True')
  if (holds('Suspended')) return 'Suspended'
  if (declaration.kind === 'removed') return 'Removing'
  if (declaration.kind === 'unknown')
    return conditions.some((one) => one.type === 'Valid' && one.status === 'False') ? 'Invalid' : 'Unknown'
  if (declaration.vm.spec.runStrategy === 'Halted') return haltedPhase(declaration.generation, conditions)
  const own = conditions.find((one) => one.type === 'GuestRunning' && one.status === 'False')?.reason
  const shown = ownPhases.find((phase) => phase === own)
  if (shown !== undefined) return shown
  if (holds('Ready')) return 'Ready'
  if (holds('GuestRunning')) return 'Running'
  if (holds('AssetsReady')) return 'Starting'
  if (conditions.some((one) => one.type === 'AssetsReady' && waitsForNode.has(one.reason))) return 'Pending'
  if (holds('Placed')) return 'Preparing'
  return 'Pending'
}

/** Reasons of GuestRunning that are phases themselves. */
const ownPhases = ['Paused', 'CrashLoopBackOff', 'Stopping', 'Stopped', 'Succeeded', 'Failed'] as const

/** A node in these states cannot prepare anything. */
const waitsForNode: ReadonlySet<string> = new Set(['NodeDrained', 'NodeDown'])

/** Halted means that the guest was seen to be off since the manifest says Halted. */
function haltedPhase(generation: string, conditions: readonly Held[]): Phase {
  const guest = conditions.find((one) => one.type === 'GuestRunning')
  const stops = conditions.some((one) => one.type === 'ServiceReady' && one.reason === 'Stopping')
  if (guest === undefined) return 'Pending'
  if (guest.status === 'Unknown') return 'Unknown'
  // swarmvirt does not own the service, so nothing stops the guest.
  if (guest.reason === 'OwnershipLost') return 'Running'
  return guest.reason === 'Halted' && guest.observedGeneration === generation && !stops ? 'Halted' : 'Stopping'
}
