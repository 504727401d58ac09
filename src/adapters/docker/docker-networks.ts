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
  const { Internal, Options, ConfigFrom } = (answer ?? {}) as {
    readonly Internal?: unknown
    readonly ConfigFrom?: { readonly Network?: unknown } | null
    readonly Options?: Readonly<Record<string, unknown>> | null
  }
  const from = ConfigFrom?.Network
  const facts = { isInternal: Internal === true, isEncrypted: Object.hasOwn(Options ?? {}, 'encrypted') }
  return typeof from === 'string' && from !== '' ? { ...facts, configFrom: from } : facts
}
