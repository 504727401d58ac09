import { managedBy, objectLabels } from '../../api/labels.ts'
import { PortError } from '../../ports/errors.ts'
import type { Labels, RawSpec, Swarm } from '../../ports/swarm.ts'
import { unlessGone } from '../shared/answers.ts'
import { type AssumedPlacements, whileClaimed } from '../shared/assumed-placements.ts'
import { dig, type Raw, rawList, rawObject, rawString } from '../shared/raw.ts'
import type { ServicesAction } from './actions.ts'
import type { ServicesPorts } from './observe.ts'

/** Applies one write. Removing a missing object succeeds; so does creating an object that already exists with our labels. */
export async function applyServices(
  ports: Pick<ServicesPorts, 'swarm' | 'lease'> & { readonly assumed: AssumedPlacements },
  action: ServicesAction,
  signal: AbortSignal,
): Promise<void> {
  const { swarm, assumed } = ports
  switch (action.kind) {
    case 'createConfig':
      return unlessOurs(swarm.createConfig(action.name, action.labels, action.data, signal), action, async () => {
        const there = await swarm.getConfig(action.name, signal)
        return there?.labels
      })
    case 'createSecret':
      return unlessOurs(swarm.createSecret(action.name, action.labels, action.data, signal), action, async () => {
        const ours = await swarm.listSecrets(`${objectLabels.managedBy}=${managedBy}`, signal)
        return ours.find((one) => one.name === action.name)?.labels ?? {}
      })
    case 'updateConfigLabels':
      return swarm.updateConfigLabels(action.config, action.labels, signal)
    case 'createService':
      await swarm.createService(await withObjectIds(swarm, action.spec, signal), signal)
      return
    case 'updateService':
      return whileClaimed(assumed, action.claim, async () =>
        swarm.updateService(action.id, action.version, await withObjectIds(swarm, action.spec, signal), signal),
      )
    case 'removeService':
      return unlessGone(swarm.removeService(action.id, signal))
    case 'removeConfig':
      return unlessGone(swarm.removeConfig(action.id, signal))
    case 'removeSecret':
      return unlessGone(swarm.removeSecret(action.id, signal))
    case 'takeLease':
    case 'askHolder':
      return ports.lease.apply(action, signal)
  }
}

/** The name contains a hash of the content, so an existing object with this name and our labels is the wanted one. */
async function unlessOurs(
  creation: Promise<string>,
  { name, labels: wanted }: { readonly name: string; readonly labels: Labels },
  existing: () => Promise<Labels | undefined>,
): Promise<void> {
  try {
    await creation
  } catch (error) {
    if (!(error instanceof PortError && error.kind === 'Conflict')) throw error
    const labels = await existing()
    const { managedBy: owner, vm, uid } = objectLabels
    if (labels === undefined || [owner, vm, uid].every((key) => labels[key] === wanted[key])) return
    const message = `${name} exists without the labels ${owner}, ${vm} and ${uid} of this VM: restore the labels, or remove it to have it created again`
    throw new PortError('Invalid', message, { cause: error })
  }
}

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
