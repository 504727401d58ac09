import type { Clock } from '../../ports/clock.ts'
import type { Swarm, SwarmTask } from '../../ports/swarm.ts'

/** So many questions about single services within `burstMs` are answered by one list of everything. */
const burst = 16
const burstMs = 1_000

/**
 * Tasks, of which Docker tells no events. A question about one service is asked of Docker, unless so many are asked at once that one list
 * of all tasks is cheaper; that list serves for a second, and not for services that were written to since it was begun.
 */
export interface TaskBoard {
  ofService(serviceId: string, signal?: AbortSignal): Promise<readonly SwarmTask[]>
  /** Its tasks may be others from now on. */
  doubt(serviceId: string): void
  /** Reads all; answers the services whose tasks changed since they were last all read. */
  relist(signal?: AbortSignal): Promise<readonly string[]>
}

interface Listing {
  readonly begunMs: number
  readonly doubted: Set<string>
  readonly tasks: Promise<ReadonlyMap<string, readonly SwarmTask[]>>
}

export function taskBoard(swarm: Pick<Swarm, 'listTasks'>, clock: Clock): TaskBoard {
  let listing: Listing | undefined
  let marks: ReadonlyMap<string, string> = new Map()
  /** What the last list was, and what came of it. */
  let last: { readonly tasks: readonly SwarmTask[]; readonly byService: ReadonlyMap<string, readonly SwarmTask[]> } | undefined
  let markedFor: ReadonlyMap<string, readonly SwarmTask[]> | undefined
  let asked: number[] = []

  function list(signal: AbortSignal | undefined): Listing {
    const made: Listing = { begunMs: clock.elapsed(), doubted: new Set(), tasks: swarm.listTasks({}, signal).then(sorted) }
    listing = made
    made.tasks.catch(() => {
      if (listing === made) listing = undefined
    })
    return made
  }

  /** Of the same list the same answer: of tasks that did not change nothing is worked out anew. */
  function sorted(tasks: readonly SwarmTask[]): ReadonlyMap<string, readonly SwarmTask[]> {
    if (last?.tasks !== tasks) last = { tasks, byService: byService(tasks) }
    return last.byService
  }

  function isBurst(): boolean {
    const now = clock.elapsed()
    asked = [...asked.filter((at) => now - at < burstMs), now].slice(-burst - 1)
    return asked.length > burst
  }

  return {
    async ofService(serviceId, signal) {
      const isMany = isBurst()
      const held = listing !== undefined && clock.elapsed() - listing.begunMs < burstMs ? listing : undefined
      if (held !== undefined && !held.doubted.has(serviceId)) {
        const tasks = await held.tasks.catch(() => undefined)
        // A write may have come while it was awaited.
        if (tasks !== undefined && !held.doubted.has(serviceId)) return tasks.get(serviceId) ?? []
      }
      // Shared by all who ask now: no single caller's signal ends it.
      if (isMany && (held === undefined || held.doubted.size > burst)) return (await list(undefined).tasks).get(serviceId) ?? []
      return swarm.listTasks({ serviceId }, signal)
    },
    doubt: (serviceId) => void listing?.doubted.add(serviceId),
    async relist(signal) {
      const tasks = await list(signal).tasks
      if (tasks === markedFor) return []
      markedFor = tasks
      const [before, after] = [marks, new Map([...tasks].map(([service, all]) => [service, markOf(all)]))]
      marks = after
      return [...new Set([...before.keys(), ...after.keys()])].filter((service) => before.get(service) !== after.get(service))
    },
  }
}

function byService(tasks: readonly SwarmTask[]): ReadonlyMap<string, readonly SwarmTask[]> {
  return Map.groupBy(tasks, (task) => task.serviceId)
}

/** What is worth a look when it changes. */
function markOf(tasks: readonly SwarmTask[]): string {
  return tasks
    .map(({ id, state, desiredState, nodeId, updatedAt }) => `${id} ${state} ${desiredState} ${nodeId ?? ''} ${updatedAt}`)
    .toSorted()
    .join('\n')
}
