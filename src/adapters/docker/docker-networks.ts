import type { NetworkFacts, Networks } from '../../ports/networks.ts'
import { dockerodeDial } from './dial.ts'
import { type Engine, engineOver } from './engine.ts'

export function dockerNetworks(endpoint: string): Networks {
  return networksOver(engineOver(dockerodeDial(endpoint)))
}

/** Networks from the Engine API. */
export function networksOver(engine: Pick<Engine, 'find'>): Networks {
  return {
    async getNetwork(name, signal) {
      const answer = await engine.find({ method: 'GET', path: `/networks/${encodeURIComponent(name)}`, signal })
      return answer === undefined ? undefined : readNetwork(answer)
    },
  }
}

/** The option is on if its key exists, whatever its value (libnetwork). */
function readNetwork(answer: unknown): NetworkFacts {
  const { Internal, Options } = (answer ?? {}) as {
    readonly Internal?: unknown
    readonly Options?: Readonly<Record<string, unknown>> | null
  }
  return { isInternal: Internal === true, isEncrypted: Object.hasOwn(Options ?? {}, 'encrypted') }
}
