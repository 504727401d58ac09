import { fields } from './fields.ts'
import { objects } from './objects.ts'
import { refusals } from './refusals.ts'
import type { Fact } from './rig.ts'
import { tasks } from './tasks.ts'

/** What the controller believes of Docker Swarm. Asked of a real one and of the simulated one, in this order. */
export const swarmFacts: readonly (readonly [string, readonly Fact[]])[] = [
  ['what is refused, and in which words', refusals],
  ['objects', objects],
  ['what restarts a VM, field by field', fields],
  ['tasks', tasks],
]
