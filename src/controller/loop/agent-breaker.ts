import type { Agent, Agents } from '../../ports/agents.ts'
import type { Clock } from '../../ports/clock.ts'
import { PortError } from '../../ports/errors.ts'

/** An agent whose broker is away takes 3 s for an answer; a call times out after 10 s. */
export const silentMs = 5_000

/**
 * Keeps an agent that hangs from holding up the VMs of other nodes. When an agent has answered nothing for `silentMs`, all calls that wait for it
 * fail as `Unavailable` but one. Further calls fail at once, until the one call that waits is answered. An agent that refuses quickly holds nobody up.
 */
export function agentBreaker(agents: Agents, clock: Clock): Agents {
  const breakers = new Map<string, Breaker>()

  function breakerOf(nodeId: string): Breaker {
    const breaker = breakers.get(nodeId) ?? new Breaker(clock)
    breakers.set(nodeId, breaker)
    return breaker
  }

  return {
    on(nodeId) {
      const agent = agents.on(nodeId)
      const breaker = breakerOf(nodeId)
      return {
        facts: (signal) => breaker.guard(() => agent.facts(signal)),
        instances: (signal) => breaker.guard(() => agent.instances(signal)),
        prepare: (order, signal) => breaker.guard(() => agent.prepare(order, signal)),
        revoke: (uid, signal) => breaker.guard(() => agent.revoke(uid, signal)),
        vm: (uid, signal) => breaker.guard(() => agent.vm(uid, signal)),
        probe: (request, signal) => breaker.guard(() => agent.probe(request, signal)),
        // These two may take long. Their answers count, and their silence does not.
        deleteDisks: (order, signal) => breaker.listen(agent.deleteDisks(order, signal)),
        unchanged: (known, signal) => breaker.listen(agent.unchanged(known, signal)),
      } satisfies Agent
    },
  }
}

class Breaker {
  readonly #clock: Clock
  #isSilent = false
  /** The one call that is waited for while the agent is silent. */
  #trial: object | undefined
  #answeredAtMs = Number.NEGATIVE_INFINITY

  constructor(clock: Clock) {
    this.#clock = clock
  }

  guard<T>(perform: () => Promise<T>): Promise<T> {
    const call = {}
    if (this.#isSilent && this.#trial !== undefined) return Promise.reject(silence())
    if (this.#isSilent) this.#trial = call
    const beganMs = this.#clock.elapsed()
    return new Promise<T>((resolve, reject) => {
      const cancel = this.#clock.after(silentMs, () => {
        if (this.#answeredAtMs > beganMs) return
        this.#isSilent = true
        this.#trial ??= call
        if (this.#trial !== call) reject(silence())
      })
      this.listen(perform())
        .then(resolve, reject)
        .finally(() => {
          cancel()
          if (this.#trial === call) this.#trial = undefined
        })
    })
  }

  /** The call's own end. An answer, or a quick refusal, ends the silence. */
  async listen<T>(call: Promise<T>): Promise<T> {
    const beganMs = this.#clock.elapsed()
    try {
      const value = await call
      this.#answered()
      return value
    } catch (error) {
      const isQuick = this.#clock.elapsed() - beganMs < silentMs
      if (error instanceof PortError && (error.kind !== 'Unavailable' || isQuick)) this.#answered()
      throw error
    }
  }

  #answered(): void {
    this.#isSilent = false
    this.#answeredAtMs = this.#clock.elapsed()
  }
}

function silence(): PortError {
  return new PortError('Unavailable', `the agent has not answered for ${silentMs / 1000} s`)
}
