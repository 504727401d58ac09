import { fields } from './fields.ts'
import { objects } from './objects.ts'
import { refusals } from './refusals.ts'
import type { Fact } from './rig.ts'
import { tasks } from './tasks.ts'

/** The controller's assumptions about Docker Swarm, checked on a real one and on the simulated one, in this order. */
export const swarmFacts: readonly (readonly [string, readonly Fact[]])[] = [
  ['what is refused, and in which words', refusals],
  ['objects', objects],
  ['what restarts a VM, field by field', fields],
  ['tasks', tasks],
]
