import { type Document, isScalar, LineCounter, type Node, parseAllDocuments } from 'yaml'
import { apiVersion, kind, type ManifestIssue, parseVirtualMachine } from '../api/manifest.ts'
import { vmNamePattern } from '../api/names.ts'
import type { Origin, SourceDocument, SourceIssue } from '../ports/manifest-source.ts'
import { locator } from './manifest/locate.ts'
import { oneLine, type Position, renderIssue } from './manifest/render.ts'
import { fieldSuggester, type Suggest } from './manifest/suggest.ts'
import { maxDocuments, type Refused, refusedText } from './manifest/text-limits.ts'
import { refusedTree } from './manifest/tree-limits.ts'

export const maxManifestBytes = 256 * 1024
/** Of one document: who has more mistakes than that has made one of them many times. */
const maxIssues = 50

/** Reads the documents of one manifest file or config. Never throws; hostile input costs at most a bounded time and becomes an issue. */
export type ReadManifest = (source: string, file: string, bytes: Uint8Array) => readonly SourceDocument[]

export function manifestReader(): ReadManifest {
  const suggest = fieldSuggester()
  return (source, file, bytes) => {
    const context = { source, file, suggest }
    try {
      return readManifest(context, bytes)
    } catch (error) {
      // Every way here that is known is closed above; what is left is the parser running out of stack.
      const message = `it cannot be parsed: ${error instanceof Error ? error.message.slice(0, 200) : String(error)}`
      return [wholeFile(context, 'VM003', message, 'a manifest needs a few levels only')]
    }
  }
}

/** A file of which nothing could be read. */
export function unreadableFile(source: string, file: string, message: string): SourceDocument {
  return wholeFile({ source, file }, 'VM001', message, 'make it readable for the controller, or take it away')
}

interface Place {
  readonly source: string
  readonly file: string
}
type Context = Place & { readonly suggest: Suggest }
type Text = Context & { readonly text: string; readonly lines: readonly string[]; readonly counter: LineCounter }

/** An issue of a file whose names are not known. */
function wholeFile(place: Place, code: string, message: string, help: string): SourceDocument {
  const rendered = renderIssue({ code, message, help }, place.file, { line: 1, column: 1, width: 1 }, [])
  const issue = { code, path: [], message, help, file: place.file, line: 1, column: 1, rendered }
  return { ok: false, origin: { source: place.source, file: place.file, line: 1 }, name: undefined, issues: [issue] }
}

function readManifest(context: Context, bytes: Uint8Array): readonly SourceDocument[] {
  if (bytes.length > maxManifestBytes)
    return [wholeFile(context, 'VM003', 'the file is larger than 256 KiB', 'split it: one file may hold some VMs, not all')]
  const decoded = decode(bytes)
  const input = { ...context, text: decoded.text, lines: decoded.text.split('\n'), counter: counterOf(decoded.text) }
  const refused = decoded.refused ?? refusedText(decoded.text)
  if (refused !== undefined) return [refusedFile(input, refused)]
  const documents = parse(decoded.text)
  if (documents.length > maxDocuments) return [wholeFile(context, 'VM003', `more than ${maxDocuments} documents in one file`, 'split it')]
  const broken = documents.find((document) => document.errors.length + document.warnings.length > 0)
  // After a syntax error nobody can say where the documents around it begin and end.
  if (broken !== undefined) return [syntaxErrors(input, documents)]
  return documents.flatMap((document) => readDocument(input, document))
}

interface Decoded {
  /** As far as it could be decoded. */
  readonly text: string
  readonly refused: Refused | undefined
}

function decode(bytes: Uint8Array): Decoded {
  const whole = decoded(bytes, false)
  if (whole !== undefined) return { text: whole, refused: undefined }
  let [good, bad] = [0, bytes.length]
  while (bad - good > 1) {
    const middle = (good + bad) >> 1
    if (decoded(bytes.subarray(0, middle), true) === undefined) bad = middle
    else good = middle
  }
  const text = decoded(bytes.subarray(0, good), true) ?? ''
  return { text, refused: { code: 'VM004', message: 'the file is not UTF-8', help: 'save it as UTF-8', offset: text.length } }
}

/** `stream`: the last character may be cut off. */
function decoded(bytes: Uint8Array, stream: boolean): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes, { stream })
  } catch {
    return undefined
  }
}

function counterOf(text: string): LineCounter {
  const counter = new LineCounter()
  counter.addNewLine(0)
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) counter.addNewLine(at + 1)
  return counter
}

/** Keys are compared by `refusedTree`. An error a character would spend a second on stack traces that nobody reads. */
function parse(text: string): readonly Document.Parsed[] {
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 0
  try {
    const options = { schema: 'core', resolveKnownTags: false, uniqueKeys: false, keepSourceTokens: false, prettyErrors: false } as const
    const parsed = parseAllDocuments(text, options)
    return Array.isArray(parsed) ? parsed : []
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}

function refusedFile(input: Text, refused: Refused): SourceDocument {
  const at = positionOf(input, [refused.offset, refused.end ?? refused.offset])
  const issues = [located(input, issueOf(refused), at)]
  return { ok: false, origin: { source: input.source, file: input.file, line: at.line }, name: undefined, issues }
}

function issueOf({ code, message, help }: Refused): ManifestIssue {
  return { code, path: [], message, ...(help === undefined ? {} : { help }) }
}

function syntaxErrors(input: Text, documents: readonly Document[]): SourceDocument {
  const all = documents.flatMap((document) => [...document.errors, ...document.warnings])
  const issues = all.slice(0, 10).map((error) => {
    const at = positionOf(input, [error.pos[0], error.pos[1]])
    return located(input, { code: 'VM002', path: [], message: `not YAML: ${error.message}` }, at)
  })
  return { ok: false, origin: { source: input.source, file: input.file, line: issues[0]?.line ?? 1 }, name: undefined, issues }
}

function readDocument(input: Text, document: Document.Parsed): SourceDocument[] {
  const { contents } = document
  // Nothing between two `---`, or a file of comments alone.
  if (contents === null || (isScalar(contents) && contents.value === null)) return []
  const start = positionOf(input, contents.range)
  const origin: Origin = { source: input.source, file: input.file, line: start.line }
  const refuse = (issue: ManifestIssue, at: Position, name?: string): SourceDocument[] => [
    { ok: false, origin, name, issues: [located(input, issue, at)] },
  ]
  const refused = refusedTree(document)
  if (refused !== undefined) return refuse(issueOf(refused), positionOf(input, [refused.offset, refused.end ?? refused.offset]))
  // Aliases are counted and weighed by now.
  const value: unknown = document.toJS({ maxAliasCount: -1 })
  const stranger = notOurs(value)
  // A misspelt kind still says which VM was meant, and that VM is kept as it is.
  if (stranger !== undefined) return refuse(stranger, start, nameIn(value))
  const result = parseVirtualMachine(value)
  if (result.ok) return [{ ok: true, origin, vm: result.vm, generation: result.generation }]
  return [{ ok: false, origin, name: result.name, issues: issuesOf(input, contents, result.issues) }]
}

/** In the order of the text, and no more than people read. */
function issuesOf(input: Text, root: Node, found: readonly ManifestIssue[]): SourceIssue[] {
  const rangeOf = locator(root)
  const placed = found.map((issue) => ({ issue, at: positionOf(input, rangeOf(issue)) }))
  const sorted = placed.toSorted((a, b) => a.at.line - b.at.line || a.at.column - b.at.column)
  const shown = sorted.slice(0, maxIssues).map(({ issue, at }) => located(input, helped(input, issue), at))
  const next = sorted[maxIssues]
  if (next === undefined) return shown
  const rest = { code: next.issue.code, path: next.issue.path, message: `and ${sorted.length - maxIssues} errors more` }
  return [...shown, located(input, rest, next.at)]
}

function notOurs(value: unknown): ManifestIssue | undefined {
  const found = value !== null && typeof value === 'object' && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined
  const wrong =
    found === undefined
      ? 'a document of another kind'
      : found['apiVersion'] !== apiVersion
        ? show('apiVersion', found)
        : show('kind', found)
  if (found !== undefined && found['apiVersion'] === apiVersion && found['kind'] === kind) return undefined
  return {
    code: 'VM005',
    path: [],
    message: `not a VirtualMachine: ${wrong}`,
    help: `a manifest begins with apiVersion: ${apiVersion} and kind: ${kind}`,
  }
}

function nameIn(value: unknown): string | undefined {
  const name = (value as { metadata?: { name?: unknown } | null } | null)?.metadata?.name
  return typeof name === 'string' && vmNamePattern.test(name) ? name : undefined
}

function show(key: string, value: Readonly<Record<string, unknown>>): string {
  const found = value[key]
  return typeof found === 'string' ? `${key} is "${found.slice(0, 60)}"` : `${key} is ${found === undefined ? 'missing' : 'no text'}`
}

function helped(input: Text, issue: ManifestIssue): ManifestIssue {
  if (issue.code !== 'VM012' || issue.help !== undefined) return issue
  const help = input.suggest(issue.path)
  return help === undefined ? issue : { ...issue, help }
}

function located(input: Text, issue: ManifestIssue, at: Position): SourceIssue {
  const said = { ...issue, message: oneLine(issue.message) }
  const rendered = renderIssue(said, input.file, at, input.lines)
  return { ...said, file: input.file, line: at.line, column: at.column, rendered }
}

type Range = readonly [number, number, ...number[]] | null | undefined

function positionOf(input: Text, range: Range): Position {
  const [start, end] = range ?? [0, 0]
  const { line, col } = input.counter.linePos(start)
  const lineEnd = input.text.indexOf('\n', start)
  const stop = Math.min(end, lineEnd === -1 ? input.text.length : lineEnd)
  return { line: Math.max(1, line), column: Math.max(1, col), width: Math.max(1, stop - start) }
}
