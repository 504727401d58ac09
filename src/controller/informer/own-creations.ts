import type { Clock } from '../../ports/clock.ts'
import { PortError } from '../../ports/errors.ts'
import type { Swarm, SwarmEvent } from '../../ports/swarm.ts'

/** A manager that was cut off answers for about a second with what was, before it knows that it leads no more. */
const lagMs = 3_000

type ServiceCalls = Pick<Swarm, 'listServices' | 'getService' | 'createService' | 'removeService'>

/** The same calls, of which none gives an answer that does not have a service which was made here a moment ago. */
export interface OwnCreations {
  readonly services: ServiceCalls
  /** Somebody removed it. */
  note(event: SwarmEvent): void
}

/**
 * A service that was just made and is in no answer is not gone: the answer is old. Whoever believed it would make the service again, or take a
 * node's label from under it, and Swarm would kill the guest. Such an answer is an error, which the caller tries again after, until the service
 * is there, is heard to have been removed, or was made long enough ago for its absence to be news.
 */
export function ownCreations(raw: ServiceCalls, clock: Clock): OwnCreations {
  const made = new Map<string, { readonly name: string; readonly atMs: number }>()

  /** In the order in which they were made. */
  function forgetOld(): void {
    const nowMs = clock.elapsed()
    for (const [id, { atMs }] of made) {
      if (nowMs - atMs < lagMs) return
      made.delete(id)
    }
  }

  /** `knows` is asked of what was made before the question was. */
  async function upToDate<Answer>(
    ask: () => Promise<Answer>,
    knows: (answer: Answer) => (id: string, name: string) => boolean,
  ): Promise<Answer> {
    forgetOld()
    const before = [...made]
    const answer = await ask()
    forgetOld()
    const isKnown = knows(answer)
    const missing = before.find(([id, { name }]) => made.has(id) && !isKnown(id, name))
    if (missing === undefined) return answer
    throw new PortError('Unavailable', `the manager that answered lags behind: it does not know ${missing[1].name}, which was just made`)
  }

  return {
    note({ type, action, id }) {
      if (type === 'service' && action === 'remove') made.delete(id)
    },
    services: {
      listServices: (label, signal) =>
        label === undefined
          ? upToDate(
              () => raw.listServices(undefined, signal),
              (all) => {
                const ids = new Set(all.map((one) => one.id))
                return (id) => ids.has(id)
              },
            )
          : raw.listServices(label, signal),
      getService: (nameOrId, signal) =>
        upToDate(
          () => raw.getService(nameOrId, signal),
          (found) => (id, name) => found?.id === id || (nameOrId !== id && nameOrId !== name),
        ),
      async createService(spec, signal) {
        const id = await raw.createService(spec, signal)
        made.set(id, { name: String(spec['Name']), atMs: clock.elapsed() })
        return id
      },
      async removeService(id, signal) {
        made.delete(id)
        return raw.removeService(id, signal)
      },
    },
  }
}
