import type { Agent, Agents } from '../../ports/agents.ts'
import type { Clock } from '../../ports/clock.ts'
import { PortError } from '../../ports/errors.ts'

/** An agent whose broker is away takes 3 s for an answer; a call times out after 10 s. */
export const silentMs = 5_000

/**
 * A circuit breaker, so that a hanging agent does not block the VMs of other nodes. If an agent has not answered for `silentMs`, all pending
 * calls but one fail as `Unavailable`, and new calls fail at once until that one is answered. Quick errors do not open the breaker.
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
        progress: (question, signal) => breaker.guard(() => agent.progress(question, signal)),
        revoke: (uid, signal) => breaker.guard(() => agent.revoke(uid, signal)),
        vm: (uid, signal) => breaker.guard(() => agent.vm(uid, signal)),
        control: (uid, action, signal) => breaker.guard(() => agent.control(uid, action, signal)),
        probe: (request, signal) => breaker.guard(() => agent.probe(request, signal)),
        // These two may take long: their answers close the breaker, but their silence does not open it.
        deleteDisks: (order, signal) => breaker.listen(agent.deleteDisks(order, signal)),
        unchanged: (known, signal) => breaker.listen(agent.unchanged(known, signal)),
      } satisfies Agent
    },
  }
}

class Breaker {
  readonly #clock: Clock
  #isSilent = false
  /** The only pending call while the agent is silent. */
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

  /** Passes the result on. An answer or a quick error ends the silence. */
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
