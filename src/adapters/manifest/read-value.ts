import { isScalar, type Document } from 'yaml'
import {
  apiVersion,
  at,
  classKind,
  classOf,
  judgeClassed,
  kind,
  listKind,
  type ManifestIssue,
  type ManifestPath,
  nameOf,
  parseVirtualMachine,
  parseVirtualMachineClass,
} from '../../api/manifest.ts'
import { closest } from '../../api/closest.ts'
import type { InvalidDocument, NoClass, Origin, ReadDocument, SourceDocument, SourceIssue } from '../../api/manifest/source-documents.ts'
import type { VmName } from '../../api/names.ts'
import type { VirtualMachineClass } from '../../api/manifest.ts'
import { locator } from './locate.ts'
import { otherKind } from './other-kind.ts'
import { type Place, placeAt, type Position } from './render.ts'
import { located, locatedAt, positionOf, type Text, type TextRange } from './text.ts'
import { maxDocuments } from './text-limits.ts'
import { type PlacedIssue, userDataIssues } from './user-data-issues.ts'

/** Per document. More issues than this are usually one mistake repeated. */
const maxIssues = 50

/** Reads a document whose tree has passed the limits: a VirtualMachine, a VirtualMachineClass, or a List of them. */
export function readValue(input: Text, document: Document.Parsed): readonly ReadDocument[] {
  const { contents } = document
  // An empty document, or a file with only comments.
  if (contents === null || (isScalar(contents) && contents.value === null)) return []
  // The number and size of aliases are checked by now.
  const value: unknown = document.toJS({ maxAliasCount: -1 })
  const whole: Part = { input, value, path: [], rangeOf: locator(contents), document }
  return isList(value) ? readList(whole, value) : [readPart(whole)]
}

/** A document, or one entry of a List. */
interface Part {
  readonly input: Text
  readonly value: unknown
  /** Its path in the document. */
  readonly path: ManifestPath
  readonly rangeOf: (issue: ManifestIssue) => TextRange
  readonly document: Document.Parsed
}

/** As `kubectl get -o yaml` writes it, or with our own version. */
function isList(value: unknown): value is { readonly items?: unknown } {
  const found = recordOf(value)
  return found?.['kind'] === listKind && (found['apiVersion'] === 'v1' || found['apiVersion'] === apiVersion)
}

function readList(whole: Part, { items, ...rest }: { readonly items?: unknown }): readonly ReadDocument[] {
  const other = Object.keys(rest).find((key) => key !== 'apiVersion' && key !== 'kind' && key !== 'metadata')
  if (other !== undefined) return [invalid(whole, undefined, [{ code: 'VM012', path: [other], message: `unknown field "${other}"` }])]
  if (!Array.isArray(items)) return [invalid(whole, undefined, [{ code: 'VM011', path: ['items'], message: 'a List needs items' }])]
  if (items.length > maxDocuments) {
    return [invalid(whole, undefined, [{ code: 'VM003', path: ['items'], message: `more than ${maxDocuments} entries in one List` }])]
  }
  return items.map((value: unknown, index) => readPart({ ...whole, value, path: ['items', index] }))
}

function readPart(part: Part): ReadDocument {
  const stranger = notOurs(part.value)
  if (stranger !== undefined) {
    const other = otherKind(part.value)
    // A misspelled kind still names its VM, so that VM stays unchanged.
    if (other === undefined) return invalid(part, nameOf(part.value), [stranger])
    const help = `${stranger.help}; exclude other files with .swarmvirtignore, or --ignore-other-kinds`
    return { ...invalid(part, undefined, [{ ...stranger, help }]), otherKind: other }
  }
  if (recordOf(part.value)?.['kind'] === classKind) return readClass(part)
  const className = classOf(part.value)
  return className === undefined ? readMachine(part) : readClassed(part, className)
}

function readMachine(part: Part): SourceDocument {
  const parsed = parseVirtualMachine(part.value)
  const { errors, warnings } = inUserData(part)
  if (!parsed.ok) return { ...invalid(part, parsed.name, parsed.issues, 'machine', errors), ...warnings }
  if (errors.length > 0) return { ...invalid(part, parsed.vm.metadata.name, [], 'machine', errors), ...warnings }
  return { ok: true, origin: originOf(part), vm: parsed.vm, generation: parsed.generation, issueAt: issueLocator(part), ...warnings }
}

interface InUserData {
  readonly errors: readonly PlacedIssue[]
  readonly warnings: { readonly warnings?: readonly SourceIssue[] }
}

function inUserData({ input, document, path, value }: Part): InUserData {
  const found = userDataIssues(input, document, path, value)
  const warnings = found.filter(({ issue }) => issue.severity === 'warning').map(({ issue, at }) => located(input, issue, at))
  return { errors: found.filter(({ issue }) => issue.severity === undefined), warnings: warnings.length === 0 ? {} : { warnings } }
}

function readClass(part: Part): ReadDocument {
  const parsed = parseVirtualMachineClass(part.value)
  if (parsed.ok) return { ok: true, origin: originOf(part), class: parsed.class }
  return { ...invalid(part, undefined, parsed.issues, 'class'), name: parsed.name, isClass: true }
}

function readClassed(part: Part, className: string): ReadDocument {
  // The closure lives as long as the document, so it must not capture `part`.
  const { value } = part
  const issues = judgeClassed(value)
  const name = nameOf(value)
  const { errors, warnings } = inUserData(part)
  if (issues.length + errors.length > 0 || name === undefined) return { ...invalid(part, name, issues, 'machine', errors), ...warnings }
  const origin = originOf(part)
  const issueAt = issueLocator(part)
  const atClass = placeIn(part, { code: 'VM014', path: ['spec', 'class'], message: '' })
  const wrong = (issues: readonly ManifestIssue[]): InvalidDocument => {
    return { ok: false, origin, name, issues: issues.map((issue) => locatedAt(atClass, issue)), ...warnings }
  }
  const complete = (found: VirtualMachineClass | NoClass): SourceDocument => {
    if ('missing' in found) return wrong([{ code: 'VM014', path: ['spec', 'class'], message: found.missing, help: found.help }])
    const parsed = parseVirtualMachine(value, found)
    if (parsed.ok)
      return {
        ok: true,
        origin,
        vm: parsed.vm,
        generation: parsed.generation,
        issueAt: (issue) => issueAt(issue) ?? locatedAt(atClass, issue),
        ...warnings,
      }
    const said = (message: string): string => `with class "${found.name}": ${message}`
    return wrong(parsed.issues.map((issue) => ({ ...issue, path: ['spec', 'class'], message: said(issue.message) })))
  }
  return { ok: true, origin, name, className, complete: lastCached(complete) }
}

/**
 * Conflicts between documents are only known after all are read. Keeps the places that they can refer to, so that the text can be dropped: the name,
 * and values that must be unique on a LAN.
 */
function issueLocator(part: Part): (issue: ManifestIssue) => SourceIssue | undefined {
  const networks = at(part.value, ['spec', 'networks'])
  const indexes = Array.isArray(networks) ? [...networks.keys()] : []
  const paths = indexes.flatMap((index) =>
    [['name'], ['mac'], ['address'], ['ipv4', 'address']].map((field) => ['spec', 'networks', index, ...field]),
  )
  const written = [['metadata', 'name'], ...paths].filter((path) => at(part.value, path) !== undefined)
  return atPlaces(new Map(written.map((path) => [path.join('.'), placeIn(part, { code: 'VM031', path, message: '' })])))
}

/** A separate function: a closure would keep all variables of its scope alive, including the part's whole tree. */
function atPlaces(places: ReadonlyMap<string, Place>): (issue: ManifestIssue) => SourceIssue | undefined {
  return (issue) => {
    const place = places.get(issue.path.join('.'))
    return place === undefined ? undefined : locatedAt(place, issue)
  }
}

function placeIn(part: Part, issue: ManifestIssue): Place {
  return placeAt(part.input.file, positionIn(part, issue), part.input.lines)
}

/** Classes rarely change, but VMs are resolved at every read. */
function lastCached<Given, Answer>(answer: (given: Given) => Answer): (given: Given) => Answer {
  let last: { readonly given: Given; readonly answer: Answer } | undefined
  return (given) => {
    if (last === undefined || last.given !== given) last = { given, answer: answer(given) }
    return last.answer
  }
}

function invalid(
  part: Part,
  name: VmName | undefined,
  issues: readonly ManifestIssue[],
  kindOf: 'machine' | 'class' = 'machine',
  placed: readonly PlacedIssue[] = [],
): InvalidDocument {
  const all = [...issues.map((issue) => ({ issue, at: positionIn(part, issue) })), ...placed]
  return { ok: false, origin: originOf(part), name, issues: inOrder(part, all, kindOf) }
}

function originOf({ input, path, rangeOf }: Part): Origin {
  const { line } = positionOf(input, rangeOf({ code: '', path, message: '' }))
  return { source: input.source, file: input.file, line }
}

/** In text order, with a limited number of issues. */
function inOrder(part: Part, placed: readonly PlacedIssue[], kindOf: 'machine' | 'class'): SourceIssue[] {
  const sorted = placed.toSorted((a, b) => a.at.line - b.at.line || a.at.column - b.at.column)
  const shown = sorted.slice(0, maxIssues).map(({ issue, at }) => located(part.input, helped(part.input, issue, kindOf), at))
  const next = sorted[maxIssues]
  if (next === undefined) return shown
  const rest = { code: next.issue.code, path: next.issue.path, message: `and ${sorted.length - maxIssues} errors more` }
  return [...shown, located(part.input, rest, next.at)]
}

function positionIn({ input, path, rangeOf }: Part, issue: ManifestIssue): Position {
  return positionOf(input, rangeOf({ ...issue, path: [...path, ...issue.path] }))
}

function helped(input: Text, issue: ManifestIssue, kindOf: 'machine' | 'class'): ManifestIssue {
  if (issue.code !== 'VM012' || issue.help !== undefined) return issue
  const help = input.suggest(issue.path, kindOf)
  return help === undefined ? issue : { ...issue, help }
}

const kinds: readonly unknown[] = [kind, classKind]

function notOurs(value: unknown): ManifestIssue | undefined {
  const found = recordOf(value)
  if (found === undefined) return stranger([], 'a document of another kind')
  if (found['apiVersion'] !== apiVersion)
    return stranger(['apiVersion'], shown('apiVersion', found), closestTo(found['apiVersion'], [apiVersion]))
  return kinds.includes(found['kind']) ? undefined : stranger(['kind'], shown('kind', found), closestTo(found['kind'], [kind, classKind]))
}

function stranger(path: ManifestPath, wrong: string, meant?: string): ManifestIssue {
  const help = meant === undefined ? `a manifest begins with apiVersion: ${apiVersion} and kind: ${kind}` : `did you mean "${meant}"?`
  return { code: 'VM005', path, message: `not a VirtualMachine: ${wrong}`, help }
}

function closestTo(given: unknown, words: readonly string[]): string | undefined {
  return typeof given === 'string' ? closest(given, words) : undefined
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return value !== null && typeof value === 'object' && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined
}

function shown(key: string, value: Readonly<Record<string, unknown>>): string {
  const found = value[key]
  return typeof found === 'string' ? `${key} is "${found.slice(0, 60)}"` : `${key} is ${found === undefined ? 'missing' : 'no text'}`
}
