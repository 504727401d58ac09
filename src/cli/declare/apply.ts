import { appliedByCli, manifestLabels } from '../../api/labels.ts'
import type { DockerCli } from '../../ports/docker-cli.ts'
import { messageOf } from '../../api/error-message.ts'
import type { ReadDocument, SourceSnapshot } from '../../api/manifest/source-documents.ts'
import type { SplitManifest } from '../../ports/manifest-texts.ts'
import { type Plan, planApply, type Pruning, type Step } from './apply-plan.ts'
import { type Declared, declaredIn, isOutcome, leansOnClasses, machineClass, type ReadTexts } from './declared.ts'
import { type ManifestConfig, manifestConfigs, removeConfig, shownName } from './manifest-configs.ts'
import { type Outcome, UsageError } from '../output/outcome.ts'

export const applyFormats = ['text', 'json', 'name'] as const
type ApplyFormat = (typeof applyFormats)[number]

export interface ApplyPorts {
  readonly docker: DockerCli
  readonly split: SplitManifest
  /** Reads a config as the controller does. */
  readonly readConfig: (name: string, text: string) => readonly ReadDocument[]
  /** Eight random hex digits. */
  readonly randomHex: () => string
}

export interface ApplyOptions {
  /** Undefined if not given. */
  readonly source: string | undefined
  readonly prune: boolean
  readonly force: boolean
  readonly dryRun: boolean
  readonly output: ApplyFormat
}

interface Done {
  readonly kind: string
  readonly name: string
  readonly result: 'created' | 'configured' | 'unchanged' | 'pruned'
  /** Name of the config that contains the object now. Null if it was removed, or if nothing was written. */
  readonly config: string | null
}

/** The controller's limit for one config. */
const maxConfigBytes = 256 * 1024
const defaultSource = 'default'

/** Validates everything before any write. Then creates one config per document, and prunes last. */
export async function apply(ports: ApplyPorts, read: ReadTexts, options: ApplyOptions): Promise<Outcome> {
  const source = sourceOf(options)
  // Only a VM with a class needs the Swarm for its validation: someone may have applied the class before.
  const held = leansOnClasses(read) ? await manifestConfigs(ports.docker, ports.split) : undefined
  // Classes that this run prunes do not count.
  const staying = held?.filter((config) => !options.prune || config.source !== source)
  const beside = staying === undefined ? [] : [otherClasses(ports, read, staying)]
  const declared = declaredIn(read, beside)
  if (isOutcome(declared)) return declared
  if (declared.length === 0 && !options.prune) return { exit: 1, out: '', err: 'error: no manifest in the input; nothing was changed\n' }
  const plan = planApply(declared, held ?? (await manifestConfigs(ports.docker, ports.split)), { ...options, source })
  const refused = [...plan.steps.flatMap((step) => (step.result === 'refused' ? [step.why] : [])), ...declared.flatMap(tooLarge)]
  if (refused.length > 0) return { exit: 1, out: '', err: `${refused.map((why) => `error: ${why}\n`).join('')}nothing was changed\n` }
  return carriedOut(ports, plan, { ...options, source })
}

/** The classes in the Swarm that are not among the given files, each from its newest config. */
export function otherClasses(ports: Pick<ApplyPorts, 'readConfig'>, read: ReadTexts, configs: readonly ManifestConfig[]): SourceSnapshot {
  const given = new Set(read.files.flatMap(({ texts }) => texts.map(shownName)))
  const documents: ReadDocument[] = []
  for (const config of configs) {
    const newer = config.documents.filter((one) => one.kind === machineClass && !given.has(shownName(one)))
    if (newer.length === 0) continue
    const names = new Set(newer.map((one) => one.name))
    documents.push(...ports.readConfig(config.name, config.text).filter((one) => one.ok && 'class' in one && names.has(one.class.name)))
    for (const one of newer) given.add(shownName(one))
  }
  return { source: 'configs', complete: true, message: '', documents }
}

function sourceOf({ source, prune }: ApplyOptions): string {
  if (prune && source === undefined)
    throw new UsageError('--prune needs --source NAME: it deletes what that source applied earlier and no longer contains')
  const name = source ?? defaultSource
  if (!/^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/.test(name))
    throw new UsageError(`--source must be 1 to 63 letters, digits, dots, - and _, not "${name}"`)
  return name
}

function tooLarge(document: Declared): readonly string[] {
  const bytes = Buffer.byteLength(document.text)
  return bytes <= maxConfigBytes
    ? []
    : [`${shownName(document)} (${document.file}:${document.line}) has ${bytes} bytes; a manifest has at most 256 KiB`]
}

/** Stops at the first failure and reports the completed steps. A second run continues from there. */
async function carriedOut(ports: ApplyPorts, plan: Plan, options: ApplyOptions & { readonly source: string }): Promise<Outcome> {
  const done: Done[] = []
  try {
    for (const step of plan.steps) done.push(await write(ports, step, options))
    for (const one of plan.prune) done.push(await prune(ports.docker, one, options.dryRun))
  } catch (error) {
    const rest = plan.steps.length + plan.prune.length - done.length
    return {
      exit: 1,
      out: written(done, options),
      err: `error: ${messageOf(error)}\n${rest} of ${done.length + rest} were not applied; run the command again\n`,
    }
  }
  return { exit: 0, out: written(done, options), err: '' }
}

async function write(ports: ApplyPorts, step: Step, options: { readonly source: string; readonly dryRun: boolean }): Promise<Done> {
  if (step.result === 'refused') throw new Error(step.why)
  const { kind, name } = step.document
  if (step.result === 'unchanged') return { kind, name, result: step.result, config: step.config.name }
  return { kind, name, result: step.result, config: options.dryRun ? null : await create(ports, step.document, options.source) }
}

/** Each edit gets a unique name: A, B and A again are three configs, and two people who apply at the same time create two. */
async function create(ports: ApplyPorts, document: Declared, source: string): Promise<string> {
  const config = `sv-m-${document.name.slice(0, 50)}-${ports.randomHex()}`
  const labels = {
    [manifestLabels.manifest]: 'true',
    [manifestLabels.appliedBy]: appliedByCli,
    [manifestLabels.appliedSource]: source,
    [manifestLabels.appliedName]: document.name,
  }
  const args = Object.entries(labels).flatMap(([key, value]) => ['--label', `${key}=${value}`])
  await ports.docker.run(['config', 'create', ...args, config, '-'], document.text)
  return config
}

async function prune(docker: DockerCli, { kind, name, configs }: Pruning, dryRun: boolean): Promise<Done> {
  if (!dryRun) for (const config of configs) await removeConfig(docker, config)
  return { kind, name, result: 'pruned', config: null }
}

function written(done: readonly Done[], options: ApplyOptions & { readonly source: string }): string {
  switch (options.output) {
    case 'text':
      return done.map((one) => `${shownName(one)} ${one.result}${options.dryRun ? ' (dry run)' : ''}\n`).join('')
    case 'name':
      return done.map((one) => `${shownName(one)}\n`).join('')
    case 'json':
      return `${JSON.stringify({ source: options.source, dryRun: options.dryRun, objects: done }, null, 2)}\n`
    default:
      return options.output satisfies never
  }
}
