import type { DockerCli } from '../../ports/docker-cli.ts'
import { messageOf } from '../../api/error-message.ts'
import type { SplitManifest } from '../../ports/manifest-texts.ts'
import { holdersOf, madeBy, type ManifestConfig, manifestConfigs, type ObjectName, removeConfig, shownName } from './manifest-configs.ts'
import { type Outcome, printable } from '../output/outcome.ts'

export interface DeletePorts {
  readonly docker: DockerCli
  readonly split: SplitManifest
  /**
   * The controller's state of a VM's manifest (`present`, `removed`, `unknown`). Undefined for an unknown VM. Throws if the controller is
   * unreachable.
   */
  readonly declared: (vm: string) => Promise<string | undefined>
}

interface Gone {
  readonly deleted: boolean
  readonly problem: string | undefined
}

const note =
  'The controller shuts each VM down when its removal grace period is over (60 s by default). Its disks stay on their node, and a manifest of the same name uses them again, unless the manifest says deletionPolicy: Delete. If several VMs are removed at once and none of the configs is left, run docker vm confirm-removal.\n'

/** Deletes manifests created by `docker vm apply`, of any source. Reports and keeps manifests from other places. */
export async function deleteObjects(ports: DeletePorts, wanted: readonly ObjectName[]): Promise<Outcome> {
  const configs = await manifestConfigs(ports.docker, ports.split)
  const all: (readonly [ObjectName, Gone])[] = []
  for (const one of onceEach(wanted)) all.push([one, await remove(ports, one, holdersOf(configs, one))])
  const out = all.map(([one, { deleted }]) => (deleted ? `${shownName(one)} deleted\n` : '')).join('')
  const problems = all.flatMap(([, { problem }]) => (problem === undefined ? [] : [`error: ${printable(problem)}\n`]))
  const vmsGo = all.some(([one, { deleted }]) => deleted && one.kind === 'VirtualMachine')
  return { exit: problems.length === 0 ? 0 : 1, out, err: `${vmsGo ? note : ''}${problems.join('')}` }
}

function onceEach(wanted: readonly ObjectName[]): readonly ObjectName[] {
  return [...new Map(wanted.map((one) => [shownName(one), one])).values()]
}

async function remove(ports: DeletePorts, wanted: ObjectName, holders: readonly ManifestConfig[]): Promise<Gone> {
  const ours = holders.filter((config) => config.source !== undefined)
  const others = holders.filter((config) => config.source === undefined)
  const shared = ours.find((config) => config.documents.length > 1)
  if (shared !== undefined)
    return { deleted: false, problem: `config ${shared.name} also declares other objects besides ${shownName(wanted)}; not deleted` }
  // Oldest first, so that no older config becomes the newest one for a moment.
  for (const config of ours.toReversed()) await removeConfig(ports.docker, config)
  const deleted = ours.length > 0
  if (others.length > 0)
    return { deleted, problem: `${shownName(wanted)} is declared by ${others.map(madeBy).join(' and ')}: remove it there` }
  return { deleted, problem: deleted ? undefined : await notOurs(ports, wanted) }
}

/** No config has the object. The controller may know its source. */
async function notOurs(ports: DeletePorts, wanted: ObjectName): Promise<string> {
  const nothing = `docker vm apply has not created ${shownName(wanted)}`
  if (wanted.kind !== 'VirtualMachine') return nothing
  try {
    const declared = await ports.declared(wanted.name)
    if (declared === 'present')
      return `${shownName(wanted)} is declared in the controller's manifest directory: remove its manifest there (docker vm sources)`
    if (declared === 'removed') return `${shownName(wanted)} is being removed already`
    return nothing
  } catch (error) {
    return `${nothing}; cannot tell whether a manifest directory declares it (${messageOf(error)})`
  }
}
