import type { Condition } from '../../api/conditions.ts'
import type { Phase } from '../../api/phases.ts'
import type { Declaration } from '../../ports/declarations.ts'

type Held = Pick<Condition, 'type' | 'status' | 'reason' | 'observedGeneration'>

/** One word for a list; nothing decides by it. */
export function phaseOf(declaration: Declaration, conditions: readonly Held[]): Phase {
  const holds = (type: Condition['type']): boolean => conditions.some((one) => one.type === type && one.status === 'True')
  if (holds('Suspended')) return 'Suspended'
  if (declaration.kind === 'removed') return 'Removing'
  if (declaration.kind === 'unknown')
    return conditions.some((one) => one.type === 'Valid' && one.status === 'False') ? 'Invalid' : 'Unknown'
  if (declaration.vm.spec.runStrategy === 'Halted') return haltedPhase(declaration.generation, conditions)
  if (holds('Ready')) return 'Ready'
  if (holds('GuestRunning')) return 'Running'
  if (holds('AssetsReady')) return 'Starting'
  if (conditions.some((one) => one.type === 'AssetsReady' && waitsForNode.has(one.reason))) return 'Pending'
  if (holds('Placed')) return 'Preparing'
  return 'Pending'
}

/** Nothing is prepared on a node that is not there. */
const waitsForNode: ReadonlySet<string> = new Set(['NodeDrained', 'NodeDown'])

/** Off is what was seen to be off since the manifest says so. */
function haltedPhase(generation: string, conditions: readonly Held[]): Phase {
  const guest = conditions.find((one) => one.type === 'GuestRunning')
  const stops = conditions.some((one) => one.type === 'ServiceReady' && one.reason === 'Stopping')
  if (guest === undefined) return 'Pending'
  if (guest.status === 'Unknown') return 'Unknown'
  // Its service was taken from swarmvirt, so nothing stops it.
  if (guest.reason === 'OwnershipLost') return 'Running'
  return guest.reason === 'Halted' && guest.observedGeneration === generation && !stops ? 'Halted' : 'Stopping'
}
