import type { Declaration } from '../../ports/declarations.ts'
import type { Swarm } from '../../ports/swarm.ts'

type Reads = Pick<Swarm, 'getConfig' | 'getService'>

/**
 * For a declared VM a cached absence is good enough: the object is created, and Docker rejects that if it exists. For a removed VM an
 * absence leads to more removals, so it is always read from Docker.
 */
export function vmReads({ swarm, recent }: { readonly swarm: Reads; readonly recent: Reads }, declaration: Declaration): Reads {
  const from = declaration.kind === 'present' ? recent : swarm
  return { getConfig: (name, signal) => from.getConfig(name, signal), getService: (name, signal) => from.getService(name, signal) }
}
