import type { Declaration } from '../../ports/declarations.ts'
import type { Swarm } from '../../ports/swarm.ts'
import { isLive, isVmService, reservedBytes } from './vm-service.ts'

type Reads = Pick<Swarm, 'getConfig' | 'getService'>

/**
 * For a declared VM a cached absence is good enough: the object is created, and Docker rejects that if it exists. For a removed VM an
 * absence leads to more removals, so it is always read from Docker.
 */
export function vmReads({ swarm, recent }: { readonly swarm: Reads; readonly recent: Reads }, declaration: Declaration): Reads {
  const from = declaration.kind === 'present' ? recent : swarm
  return { getConfig: (name, signal) => from.getConfig(name, signal), getService: (name, signal) => from.getService(name, signal) }
}

/**
 * Memory that tasks of other services reserve, by Swarm node ID. Swarm's scheduler counts it from when a task is assigned until it ends.
 * CPUs do not matter here, because VMs reserve none.
 */
export async function reservedByOthers(
  swarm: Pick<Swarm, 'listServices' | 'listTasks'>,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, number>> {
  const bytes = new Map<string, number>()
  for (const service of await swarm.listServices(undefined, signal)) {
    if (reservedBytes(service) === 0 || isVmService(service)) continue
    for (const task of await swarm.listTasks({ serviceId: service.id }, signal)) {
      if (task.nodeId === undefined || !isLive(task)) continue
      bytes.set(task.nodeId, (bytes.get(task.nodeId) ?? 0) + reservedBytes(service))
    }
  }
  return bytes
}
