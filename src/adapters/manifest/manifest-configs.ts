import { manifestLabels } from '../../api/labels.ts'
import { messageOf, PortError } from '../../ports/errors.ts'
import type { ManifestSource, ReadDocument } from '../../ports/manifest-source.ts'
import type { Swarm, SwarmConfig } from '../../ports/swarm.ts'
import { type ConfigDocuments, newestOf } from './newest.ts'
import { manifestReader, type ReadManifest } from './manifest-yaml.ts'

const source = 'configs'
const label = `${manifestLabels.manifest}=true`

/**
 * Manifests in Swarm configs that carry `swarmvirt.manifest=true` (ADR 0014). A config cannot be changed, so an edit is a config more, and of
 * several documents of one name the one in the newest config counts. A list that cannot be had is an incomplete read. Hints come from outside:
 * the Swarm's events are followed once, by the controller.
 */
export function manifestConfigs(swarm: Pick<Swarm, 'listConfigs'>): ManifestSource {
  const parse = parsedOnce(manifestReader())
  return {
    async read(signal) {
      try {
        return { source, complete: true, message: '', ...newestOf(parse(await swarm.listConfigs(label, signal))) }
      } catch (error) {
        if (signal?.aborted || !(error instanceof PortError)) throw error
        return { source, complete: false, message: `configs with the label ${label} cannot be listed: ${messageOf(error)}`, documents: [] }
      }
    },
    watch: () => () => undefined,
  }
}

/** An id stands for the same data for ever: each config is parsed once. Holds what the last list held. */
function parsedOnce(readText: ReadManifest): (configs: readonly SwarmConfig[]) => readonly ConfigDocuments[] {
  let held: ReadonlyMap<string, readonly ReadDocument[]> = new Map()
  return (configs) => {
    held = new Map(configs.map((config) => [config.id, held.get(config.id) ?? readText(source, config.name, config.data)]))
    return configs.map((config) => ({ config, documents: held.get(config.id) ?? [] }))
  }
}
