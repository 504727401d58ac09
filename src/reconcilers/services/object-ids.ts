import { objectLabels } from '../../api/labels.ts'
import { PortError } from '../../ports/errors.ts'
import type { RawSpec, Swarm } from '../../ports/swarm.ts'
import { dig, type Raw, rawList, rawObject, rawString } from '../shared/raw.ts'

type Reads = Pick<Swarm, 'getConfig' | 'listSecrets'>

/**
 * Adds the IDs of the configs and secrets that the template only names. References that have an ID stay unchanged, because any difference in
 * a template restarts the VM.
 */
export async function withObjectIds(swarm: Reads, spec: RawSpec, signal: AbortSignal): Promise<RawSpec> {
  const container = rawObject(dig(spec, 'TaskTemplate', 'ContainerSpec'))
  const [configs, secrets] = [rawList(container['Configs']).map(rawObject), rawList(container['Secrets']).map(rawObject)]
  if (configs.every((one) => 'ConfigID' in one) && secrets.every((one) => 'SecretID' in one)) return spec
  const Configs = await identified(configs, 'Config', async (name) => (await swarm.getConfig(name, signal))?.id)
  const Secrets = await identified(secrets, 'Secret', async (name) => {
    const own = await swarm.listSecrets(`${objectLabels.vm}=${rawString(dig(spec, 'Labels', objectLabels.vm)) ?? ''}`, signal)
    return own.find((one) => one.name === name)?.id
  })
  const ContainerSpec = { ...container, Configs, Secrets }
  return { ...spec, TaskTemplate: { ...rawObject(spec['TaskTemplate']), ContainerSpec } }
}

async function identified(
  references: readonly Raw[],
  kind: 'Config' | 'Secret',
  idOf: (name: string) => Promise<string | undefined>,
): Promise<readonly Raw[]> {
  return Promise.all(
    references.map(async (reference) => {
      const name = rawString(reference[`${kind}Name`])
      if (`${kind}ID` in reference || name === undefined) return reference
      const id = await idOf(name)
      if (id === undefined) throw new PortError('Conflict', `${name} was removed right after it was created`)
      return { ...reference, [`${kind}ID`]: id }
    }),
  )
}
