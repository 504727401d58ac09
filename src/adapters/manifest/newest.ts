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
} from '../../api/manifest/source-documents.ts'
import type { SwarmConfig } from '../../ports/swarm.ts'

export interface ConfigDocuments {
  readonly config: SwarmConfig
  readonly documents: readonly ReadDocument[]
}

/**
 * Selects the documents of a name that is in several configs: those of the newest config, valid or not. An older valid one stands in for an invalid
 * one, so that a restart of the controller keeps the last good state.
 */
export function newestOf(configs: readonly ConfigDocuments[]): Pick<SourceSnapshot, 'documents' | 'superseded' | 'collectable'> {
  const byName = configsByName(configs.toSorted(newestFirst))
  const stands = (one: ConfigDocuments, name: string | undefined): boolean => name === undefined || byName.get(name)?.[0] === one
  const documents = configs.flatMap((one) =>
    one.documents.filter((document) => stands(one, subjectOf(document))).flatMap((document) => withStandIn(document, byName)),
  )
  const superseded = [...byName].flatMap(([name, [newest, ...older]]) => older.map((one) => supersededBy(name, one, newest)))
  return { documents, superseded, collectable: configs.flatMap((one) => collectable(one, byName)) }
}

/** Every name with the configs that contain it, newest first. */
type ByName = ReadonlyMap<string, readonly ConfigDocuments[]>

function configsByName(newestFirst: readonly ConfigDocuments[]): ByName {
  const found = new Map<string, ConfigDocuments[]>()
  for (const one of newestFirst) {
    for (const name of new Set(one.documents.map(subjectOf))) if (name !== undefined) found.set(name, [...(found.get(name) ?? []), one])
  }
  return found
}

/** By the clock of the manager that led at the time. The name breaks ties. */
function newestFirst({ config: a }: ConfigDocuments, { config: b }: ConfigDocuments): number {
  return byText(comparable(b.createdAt), comparable(a.createdAt)) || byText(b.name, a.name)
}

/** UTC with up to nine decimals, without trailing zeros. Without the Z, the strings sort in time order. */
function comparable(time: string): string {
  return time.replace(/Z$/, '')
}

/** Valid, or valid as far as known before its class is resolved. */
function rightIn({ documents }: ConfigDocuments, name: string): ReadDocument | undefined {
  return documents.find((one) => one.ok && subjectOf(one) === name)
}

/** A document with its stand-in while it is not valid. A class cannot carry its stand-in, so both are returned. */
function withStandIn(document: ReadDocument, byName: ByName): readonly ReadDocument[] {
  const name = subjectOf(document)
  if (name === undefined || 'vm' in document || 'class' in document) return [document]
  const holders = byName.get(name) ?? []
  if (document.ok) return [withBehind(document, standInOf(name, holders.slice(1)))]
  const standIn = standInOf(name, holders)
  if (standIn !== undefined) return [{ ...document, standIn }]
  const older = holders.map((one) => rightIn(one, name)).find((one) => one !== undefined)
  return older === undefined ? [document] : [document, older]
}

/** The newest VM that is valid as far as known, followed by older ones up to the first that is definitely valid. */
function standInOf(name: string, holders: readonly ConfigDocuments[]): ValidDocument | ClassedDocument | undefined {
  const at = holders.findIndex((one) => rightIn(one, name) !== undefined)
  const found = holders[at]
  const document = found === undefined ? undefined : rightIn(found, name)
  if (document === undefined || !document.ok || 'class' in document) return undefined
  return 'vm' in document ? document : withBehind(document, standInOf(name, holders.slice(at + 1)))
}

function withBehind(document: ClassedDocument, standIn: ValidDocument | ClassedDocument | undefined): ClassedDocument {
  return standIn === undefined ? document : { ...document, standIn }
}

function supersededBy(name: string, one: ConfigDocuments, newest: ConfigDocuments | undefined): Superseded {
  return { file: one.config.name, name, by: newest?.config.name ?? '' }
}

/** Only configs made by `docker vm apply`, and only if every document in them has a newer valid one. Other configs belong to their owner. */
function collectable(one: ConfigDocuments, byName: ByName): readonly Collectable[] {
  const { config, documents } = one
  if (config.labels[manifestLabels.appliedBy] !== appliedByCli || documents.length === 0) return []
  const replaced = documents.flatMap((document) => replacement(one, subjectOf(document), byName) ?? [])
  if (replaced.length < documents.length) return []
  const sinceMs = Math.max(...replaced.map((by) => Date.parse(by.createdAt)))
  return [{ id: config.id, name: config.name, sinceMs, unproven: replaced.flatMap((by) => by.unproven) }]
}

interface Replacement {
  readonly createdAt: string
  readonly unproven: Collectable['unproven']
}

/** The first newer config with a definitely valid document of this name, or else the newest one if it may be valid. */
function replacement(one: ConfigDocuments, name: string | undefined, byName: ByName): Replacement | undefined {
  const all = name === undefined ? [] : (byName.get(name) ?? [])
  const newer = all.slice(0, all.indexOf(one))
  const certain = newer.findLast((by) => by.documents.some((document) => isCertain(document) && subjectOf(document) === name))
  if (certain !== undefined) return { createdAt: certain.config.createdAt, unproven: [] }
  const [newest] = newer
  if (newest === undefined || name === undefined || rightIn(newest, name) === undefined) return undefined
  return { createdAt: newest.config.createdAt, unproven: [{ file: newest.config.name, name }] }
}

function isCertain(document: ReadDocument): boolean {
  return 'vm' in document || 'class' in document
}
