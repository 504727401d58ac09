import { appliedByCli, manifestLabels } from '../../api/labels.ts'
import { byText } from '../../api/order.ts'
import {
  type ClassedDocument,
  type Collectable,
  type ReadDocument,
  type SourceSnapshot,
  subjectOf,
  type Superseded,
  type ValidDocument,
} from '../../ports/manifest-source.ts'
import type { SwarmConfig } from '../../ports/swarm.ts'

export interface ConfigDocuments {
  readonly config: SwarmConfig
  readonly documents: readonly ReadDocument[]
}

/**
 * Which documents count where a name is in several configs: those of the newest config, valid or not. An older one that is valid stands in for
 * an invalid one, so that a restart of the controller does not forget the last good state.
 */
export function newestOf(configs: readonly ConfigDocuments[]): Pick<SourceSnapshot, 'documents' | 'superseded' | 'collectable'> {
  const byName = configsByName(configs.toSorted(newestFirst))
  const stands = (one: ConfigDocuments, name: string | undefined): boolean => name === undefined || byName.get(name)?.[0] === one
  const documents = configs.flatMap((one) =>
    one.documents.filter((document) => stands(one, subjectOf(document))).map((document) => withStandIn(document, byName)),
  )
  const superseded = [...byName].flatMap(([name, [newest, ...older]]) => older.map((one) => supersededBy(name, one, newest)))
  return { documents, superseded, collectable: configs.flatMap((one) => collectable(one, byName)) }
}

/** Every name with the configs that hold it, the newest first. */
type ByName = ReadonlyMap<string, readonly ConfigDocuments[]>

function configsByName(newestFirst: readonly ConfigDocuments[]): ByName {
  const found = new Map<string, ConfigDocuments[]>()
  for (const one of newestFirst) {
    for (const name of new Set(one.documents.map(subjectOf))) if (name !== undefined) found.set(name, [...(found.get(name) ?? []), one])
  }
  return found
}

/** By the clock of the manager that led when they were made; the name decides where that is the same. */
function newestFirst({ config: a }: ConfigDocuments, { config: b }: ConfigDocuments): number {
  return byText(comparable(b.createdAt), comparable(a.createdAt)) || byText(b.name, a.name)
}

/** UTC with up to nine decimals, of which Docker leaves out the last zeros: without the Z the order of the texts is that of the times. */
function comparable(time: string): string {
  return time.replace(/Z$/, '')
}

function validIn({ documents }: ConfigDocuments, name: string): ReadDocument | undefined {
  return documents.find((one) => one.ok && subjectOf(one) === name)
}

function withStandIn(document: ReadDocument, byName: ByName): ReadDocument {
  const name = subjectOf(document)
  if (document.ok || name === undefined) return document
  for (const one of byName.get(name) ?? []) {
    const standIn = validIn(one, name)
    if (standIn !== undefined && isMachine(standIn)) return { ...document, standIn }
    // A class has nothing to stand in for it: the older one itself counts.
    if (standIn !== undefined) return standIn
  }
  return document
}

function isMachine(document: ReadDocument): document is ValidDocument | ClassedDocument {
  return document.ok && !('class' in document)
}

function supersededBy(name: string, one: ConfigDocuments, newest: ConfigDocuments | undefined): Superseded {
  return { file: one.config.name, name, by: newest?.config.name ?? '' }
}

/** Only what `docker vm apply` made, and only when every document in it has a valid newer one: what others made is theirs to remove. */
function collectable(one: ConfigDocuments, byName: ByName): readonly Collectable[] {
  const { config, documents } = one
  if (config.labels[manifestLabels.appliedBy] !== appliedByCli || documents.length === 0) return []
  const replacedAt = documents.map((document) => replacedAtMs(one, subjectOf(document), byName))
  const sinceMs = Math.max(...replacedAt.map((at) => at ?? Number.NaN))
  return Number.isNaN(sinceMs) ? [] : [{ id: config.id, name: config.name, sinceMs }]
}

/** When the first valid document of this name came that is newer; undefined where there is none. */
function replacedAtMs(one: ConfigDocuments, name: string | undefined, byName: ByName): number | undefined {
  if (name === undefined) return undefined
  const all = byName.get(name) ?? []
  const next = all.slice(0, all.indexOf(one)).findLast((newer) => validIn(newer, name) !== undefined)
  return next === undefined ? undefined : Date.parse(next.config.createdAt)
}
