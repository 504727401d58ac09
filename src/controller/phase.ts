import type { Condition } from '../api/conditions.ts'
import type { Phase } from '../api/phases.ts'
import type { Declaration } from '../ports/declarations.ts'

type Held = Pick<Condition, 'type' | 'status'>

/** One word for a list; nothing decides by it. */
export function phaseOf(declaration: Declaration, conditions: readonly Held[]): Phase {
  const holds = (type: Condition['type']): boolean => conditions.some((one) => one.type === type && one.status === 'True')
  if (holds('Suspended')) return 'Suspended'
  if (declaration.kind === 'removed') return 'Removing'
  if (declaration.kind === 'unknown')
    return conditions.some((one) => one.type === 'Valid' && one.status === 'False') ? 'Invalid' : 'Unknown'
  if (declaration.vm.spec.runStrategy === 'Halted') return holds('GuestRunning') ? 'Stopping' : 'Halted'
  if (holds('Ready')) return 'Ready'
  if (holds('GuestRunning')) return 'Running'
  if (holds('AssetsReady')) return 'Starting'
  if (holds('Placed')) return 'Preparing'
  return 'Pending'
}
