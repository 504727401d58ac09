import type { Clock } from '../../ports/clock.ts'
import type { Swarm, SwarmTask } from '../../ports/swarm.ts'

/** After this many requests for single services within a second, one list of all tasks is cheaper. */
const burst = 16
const burstMs = 1_000

/**
 * Tasks, for which Docker sends no events. A request for one service goes to Docker, except in a burst: then one list of all tasks is used for a
 * second, but not for services that were invalidated since it began.
 */
export interface TaskLister {
  ofService(serviceId: string, signal?: AbortSignal): Promise<readonly SwarmTask[]>
  /** The tasks of this service may change from now on. */
  invalidate(serviceId: string): void
  /** Lists all tasks. Returns the ids of the services whose tasks changed since the last call. */
  relist(signal?: AbortSignal): Promise<readonly string[]>
}

interface Snapshot {
  readonly tasks: readonly SwarmTask[]
  readonly byService: ReadonlyMap<string, readonly SwarmTask[]>
}

interface Listing {
  readonly beganMs: number
  readonly stale: Set<string>
  readonly snapshot: Promise<Snapshot>
}

export function taskLister(swarm: Pick<Swarm, 'listTasks'>, clock: Clock): TaskLister {
  let listing: Listing | undefined
  let last: Snapshot = snapshotOf([])
  let reported = last
  let requestsMs: number[] = []

  /** The Docker adapter returns the same array while nothing changes, so the snapshot stays the same. */
  async function read(signal: AbortSignal | undefined): Promise<Snapshot> {
    const tasks = await swarm.listTasks({}, signal)
    if (tasks !== last.tasks) last = snapshotOf(tasks)
    return last
  }

  function list(signal: AbortSignal | undefined): Listing {
    listing = { beganMs: clock.elapsed(), stale: new Set(), snapshot: read(signal) }
    return listing
  }

  function isBurst(): boolean {
    const nowMs = clock.elapsed()
    requestsMs = [...requestsMs.filter((atMs) => nowMs - atMs < burstMs), nowMs].slice(-burst - 1)
    return requestsMs.length > burst
  }

  /** The list to use now, if any. It serves many callers, so the signal of one caller does not cancel it. */
  function sharedList(): Listing | undefined {
    const recent = listing !== undefined && clock.elapsed() - listing.beganMs < burstMs ? listing : undefined
    return isBurst() && (recent === undefined || recent.stale.size > burst) ? list(undefined) : recent
  }

  return {
    async ofService(serviceId, signal) {
      const shared = sharedList()
      const snapshot = await shared?.snapshot.catch(() => undefined)
      // Checked after the wait, because the service may have been invalidated meanwhile.
      if (snapshot !== undefined && shared?.stale.has(serviceId) === false) return snapshot.byService.get(serviceId) ?? []
      return swarm.listTasks({ serviceId }, signal)
    },
    invalidate: (serviceId) => void listing?.stale.add(serviceId),
    async relist(signal) {
      const snapshot = await list(signal).snapshot
      const before = reported.byService
      reported = snapshot
      if (before === snapshot.byService) return []
      const services = [...new Set([...before.keys(), ...snapshot.byService.keys()])]
      return services.filter((service) => markOf(before.get(service)) !== markOf(snapshot.byService.get(service)))
    },
  }
}

function snapshotOf(tasks: readonly SwarmTask[]): Snapshot {
  return { tasks, byService: Map.groupBy(tasks, ({ serviceId }) => serviceId) }
}

/** The fields of a service's tasks that reconcilers act on. */
function markOf(tasks: readonly SwarmTask[] = []): string {
  return tasks
    .map(({ id, state, desiredState, nodeId, updatedAt }) => `${id} ${state} ${desiredState} ${nodeId ?? ''} ${updatedAt}`)
    .toSorted()
    .join('\n')
}
