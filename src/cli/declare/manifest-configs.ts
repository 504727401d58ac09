import { appliedByCli, manifestLabels } from '../../api/labels.ts'
import { byText } from '../../api/order.ts'
import type { DockerCli } from '../../ports/docker-cli.ts'
import type { ManifestText, SplitManifest } from '../../ports/manifest-texts.ts'

/** A Swarm config with manifests (ADR 0014). */
export interface ManifestConfig {
  readonly id: string
  readonly name: string
  /** RFC 3339, by the clock of the manager that led at the time. */
  readonly createdAt: string
  readonly text: string
  readonly documents: readonly ManifestText[]
  /** The source of `docker vm apply`. Undefined for configs of others. */
  readonly source: string | undefined
  /** The stack, if `docker stack deploy` created the config. */
  readonly stack: string | undefined
}

/** Kind and name of an object, such as `virtualmachine/web`. */
export interface ObjectName {
  readonly kind: string
  readonly name: string
}

export function shownName({ kind, name }: ObjectName): string {
  return `${kind.toLowerCase()}/${name}`
}

interface Inspected {
  readonly ID: string
  readonly CreatedAt: string
  readonly Spec: { readonly Name: string; readonly Labels: Readonly<Record<string, string>> | null; readonly Data?: string }
}

/** This many IDs fit into any system's command line. */
const batch = 200
const label = `${manifestLabels.manifest}=true`

/** All manifest configs, newest first, in the controller's order. */
export async function manifestConfigs(docker: DockerCli, split: SplitManifest): Promise<readonly ManifestConfig[]> {
  const ids = (await docker.run(['config', 'ls', '--filter', `label=${label}`, '--format', '{{.ID}}']))
    .split('\n')
    .filter((id) => id !== '')
  const configs: ManifestConfig[] = []
  for (let at = 0; at < ids.length; at += batch) configs.push(...(await inspected(docker, ids.slice(at, at + batch), split)))
  return configs.toSorted((a, b) => byText(comparable(b.createdAt), comparable(a.createdAt)) || byText(b.name, a.name))
}

/** If a config was removed after the list, the whole call fails although it printed the others. Then the configs are inspected one by one. */
async function inspected(docker: DockerCli, ids: readonly string[], split: SplitManifest): Promise<readonly ManifestConfig[]> {
  try {
    return (JSON.parse(await docker.run(['config', 'inspect', ...ids])) as Inspected[]).map((one) => configOf(one, split))
  } catch (error) {
    if (!isGone(error)) throw error
    if (ids.length === 1) return []
    const each: ManifestConfig[] = []
    for (const id of ids) each.push(...(await inspected(docker, [id], split)))
    return each
  }
}

function isGone(error: unknown): boolean {
  return error instanceof Error && /no such config|config \S+ not found/i.test(error.message)
}

function configOf({ ID, CreatedAt, Spec }: Inspected, split: SplitManifest): ManifestConfig {
  const labels = Spec.Labels ?? {}
  const text = new TextDecoder().decode(Buffer.from(Spec.Data ?? '', 'base64'))
  const isOurs = labels[manifestLabels.appliedBy] === appliedByCli
  return {
    id: ID,
    name: Spec.Name,
    createdAt: CreatedAt,
    text,
    documents: split(text),
    source: isOurs ? (labels[manifestLabels.appliedSource] ?? '') : undefined,
    stack: labels['com.docker.stack.namespace'],
  }
}

/** UTC with up to nine decimals, without trailing zeros. Without the Z, the strings sort in time order. */
function comparable(time: string): string {
  return time.replace(/Z$/, '')
}

/** Keeps the order of `configs`: newest first. */
export function holdersOf(configs: readonly ManifestConfig[], wanted: ObjectName): readonly ManifestConfig[] {
  return configs.filter((config) => config.documents.some((one) => one.kind === wanted.kind && one.name === wanted.name))
}

/** Returns false if the config was already removed, since the controller also collects configs. */
export async function removeConfig(docker: DockerCli, config: ManifestConfig): Promise<boolean> {
  try {
    await docker.run(['config', 'rm', config.id])
    return true
  } catch (error) {
    if (isGone(error)) return false
    throw error
  }
}

/** The creator of a config, for people who need to find it. */
export function madeBy(config: ManifestConfig): string {
  if (config.source !== undefined) return `docker vm apply --source ${config.source} (config ${config.name})`
  return config.stack === undefined ? `config ${config.name}` : `config ${config.name} of stack ${config.stack}`
}
