import type { Declared } from './declared.ts'
import { holdersOf, madeBy, type ManifestConfig, type ObjectName, shownName } from './manifest-configs.ts'

/** The planned action for one document. `refused` has the reason why there is none. */
export type Step =
  | { readonly result: 'created' | 'configured'; readonly document: Declared }
  | { readonly result: 'unchanged'; readonly document: Declared; readonly config: ManifestConfig }
  | { readonly result: 'refused'; readonly document: Declared; readonly why: string }

export interface Pruning extends ObjectName {
  /** Oldest first, so that no older config becomes the newest one for a moment. */
  readonly configs: readonly ManifestConfig[]
}

export interface Plan {
  readonly steps: readonly Step[]
  readonly prune: readonly Pruning[]
}

export interface PlanOptions {
  readonly source: string
  readonly prune: boolean
  /** Takes over objects of other sources, and objects created without this tool. */
  readonly force: boolean
}

/** `configs` must be newest first. */
export function planApply(declared: readonly Declared[], configs: readonly ManifestConfig[], options: PlanOptions): Plan {
  const steps = declared.map((document) => stepOf(document, holdersOf(configs, document)[0], options))
  return { steps, prune: options.prune ? pruneOf(declared, configs, options.source) : [] }
}

function stepOf(document: Declared, newest: ManifestConfig | undefined, { source, force }: PlanOptions): Step {
  if (newest === undefined) return { result: 'created', document }
  if (newest.source === source) {
    return newest.text === document.text ? { result: 'unchanged', document, config: newest } : { result: 'configured', document }
  }
  if (force) return { result: 'configured', document }
  const why = `${shownName(document)} belongs to ${madeBy(newest)}, not to source ${source}; use --force to take it over`
  return { result: 'refused', document, why }
}

/** Only configs of this source. Configs of others are never pruned. */
function pruneOf(declared: readonly Declared[], configs: readonly ManifestConfig[], source: string): readonly Pruning[] {
  const kept = new Set(declared.map(shownName))
  const found = new Map<string, { readonly kind: string; readonly name: string; readonly configs: ManifestConfig[] }>()
  for (const config of configs.toReversed().filter((one) => one.source === source)) {
    // A config stays if any of its documents is still wanted. `apply` writes one document per config.
    if (config.documents.length === 0 || config.documents.some((one) => kept.has(shownName(one)))) continue
    const [{ kind, name } = { kind: '', name: '' }] = config.documents
    const one = found.get(shownName({ kind, name })) ?? { kind, name, configs: [] }
    one.configs.push(config)
    found.set(shownName(one), one)
  }
  return [...found.values()]
}
