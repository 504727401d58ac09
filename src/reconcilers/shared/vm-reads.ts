import type { Declaration } from '../../ports/declarations.ts'
import type { Swarm } from '../../ports/swarm.ts'

type Reads = Pick<Swarm, 'getConfig' | 'getService'>

/**
 * Where a declared VM's record or service is not there, it is made, and Docker refuses that if it is there after all: an absence of a moment ago
 * will do. Of a VM that is to be removed an absence ends in more removals, so that is always asked.
 */
export function vmReads({ swarm, recent }: { readonly swarm: Reads; readonly recent: Reads }, declaration: Declaration): Reads {
  const from = declaration.kind === 'present' ? recent : swarm
  return { getConfig: (name, signal) => from.getConfig(name, signal), getService: (name, signal) => from.getService(name, signal) }
}
