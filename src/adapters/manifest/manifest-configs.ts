import { manifestLabels } from '../../api/labels.ts'
import { PortError } from '../../ports/errors.ts'
import { messageOf } from '../../api/error-message.ts'
import type { ManifestSource } from '../../ports/manifest-source.ts'
import type { ReadDocument } from '../../api/manifest/source-documents.ts'
import type { Swarm, SwarmConfig } from '../../ports/swarm.ts'
import { type ConfigDocuments, newestOf } from './newest.ts'
import { manifestReader, type ReadManifest } from './manifest-yaml.ts'

const source = 'configs'
const label = `${manifestLabels.manifest}=true`

/**
 * Manifests in Swarm configs with the label `swarmvirt.manifest=true` (ADR 0014). A config is immutable, so an edit adds a config. If several configs
 * have a document of the same name, the newest one counts. A failed list makes the read incomplete. Hints come from the controller, which follows the
 * Swarm's events.
 */
export function manifestConfigs(swarm: Pick<Swarm, 'listConfigs'>, readText: ReadManifest = manifestReader()): ManifestSource {
  const parse = parsedOnce(readText)
  return {
    async read(signal) {
      try {
        return { source, complete: true, message: '', ...newestOf(parse(await swarm.listConfigs(label, signal))) }
      } catch (error) {
        if (signal?.aborted || !(error instanceof PortError)) throw error
        return {
          source,
          complete: false,
          message: `configs with the label ${label} could not be listed: ${messageOf(error)}`,
          documents: [],
        }
      }
    },
    watch: () => () => undefined,
  }
}

/** A config ID always has the same data, so each config is parsed once. Caches the configs of the last list. */
function parsedOnce(readText: ReadManifest): (configs: readonly SwarmConfig[]) => readonly ConfigDocuments[] {
  let held: ReadonlyMap<string, readonly ReadDocument[]> = new Map()
  return (configs) => {
    held = new Map(configs.map((config) => [config.id, held.get(config.id) ?? readText(source, config.name, config.data)]))
    return configs.map((config) => ({ config, documents: held.get(config.id) ?? [] }))
  }
}
