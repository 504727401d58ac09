import { type Document, isAlias, isMap, isNode, isPair, isScalar, isSeq, LineCounter, type Node, parseAllDocuments, visit } from 'yaml'
import { canonicalJson } from '../api/hash.ts'
import { apiVersion, kind, type ManifestIssue, type ManifestPath, parseVirtualMachine } from '../api/manifest.ts'
import { vmNamePattern } from '../api/names.ts'
import type { Origin, SourceDocument, SourceIssue } from '../ports/manifest-source.ts'
import { tooDeep } from './manifest/depth.ts'
import { type Position, renderIssue } from './manifest/render.ts'
import { fieldSuggester, type Suggest } from './manifest/suggest.ts'

export const maxManifestBytes = 256 * 1024
const maxDocuments = 1_000
const maxLevels = 64
const maxNodes = 10_000
const maxAliases = 20

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
type Text = Context & { readonly text: string; readonly counter: LineCounter }

/** An issue of a file whose names are not known. */
function wholeFile(place: Place, code: string, message: string, help: string): SourceDocument {
  const rendered = renderIssue({ code, message, help }, place.file, { line: 1, column: 1, width: 1 }, '')
  const issue = { code, path: [], message, help, file: place.file, line: 1, column: 1, rendered }
  return { ok: false, origin: { source: place.source, file: place.file, line: 1 }, name: undefined, issues: [issue] }
}

function readManifest(context: Context, bytes: Uint8Array): readonly SourceDocument[] {
  if (bytes.length > maxManifestBytes)
    return [wholeFile(context, 'VM003', 'the file is larger than 256 KiB', 'split it: one file may hold some VMs, not all')]
  const text = decode(bytes)
  if (text === undefined) return [wholeFile(context, 'VM004', 'the file is not UTF-8', 'save it as UTF-8')]
  const deep = tooDeep(text)
  if (deep !== undefined) return [wholeFile(context, 'VM003', deep, 'a manifest needs a few levels only')]
  const counter = new LineCounter()
  const parsed = parseAllDocuments(text, { lineCounter: counter, keepSourceTokens: false, prettyErrors: false })
  const documents = Array.isArray(parsed) ? parsed : []
  const input = { ...context, text, counter }
  if (documents.length > maxDocuments) return [wholeFile(context, 'VM003', `more than ${maxDocuments} documents in one file`, 'split it')]
  const broken = documents.find((document) => document.errors.length + document.warnings.length > 0)
  // After a syntax error nobody can say where the documents around it begin and end.
  if (broken !== undefined) return [syntaxErrors(input, documents)]
  return documents.flatMap((document) => readDocument(input, document))
}

function decode(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return undefined
  }
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
  const refuse = (issue: ManifestIssue, name?: string): SourceDocument[] => [
    { ok: false, origin, name, issues: [located(input, issue, start)] },
  ]
  const large = tooLarge(document)
  if (large !== undefined) return refuse({ code: 'VM003', path: [], message: large })
  const value = plainValue(document)
  if (!value.ok) return refuse({ code: 'VM003', path: [], message: value.message })
  const stranger = notOurs(value.value)
  // A misspelt kind still says which VM was meant, and that VM is kept as it is.
  if (stranger !== undefined) return refuse(stranger, nameIn(value.value))
  const result = parseVirtualMachine(value.value)
  if (result.ok) return [{ ok: true, origin, vm: result.vm, generation: result.generation }]
  const issues = result.issues.map((issue) => located(input, helped(input, issue), positionOfPath(input, contents, issue)))
  return [{ ok: false, origin, name: result.name, issues }]
}

function tooLarge(document: Document.Parsed): string | undefined {
  let nodes = 0
  let levels = 0
  let aliases = 0
  let oddKey = false
  visit(document, {
    Pair(_key, pair) {
      // A mapping as a key becomes its own text when it is read, and doubles with every level.
      if (pair.key !== null && !isScalar(pair.key)) oddKey = true
      return oddKey ? visit.BREAK : undefined
    },
    Node(_key, node, path) {
      nodes += 1
      levels = Math.max(levels, path.filter((one) => !isPair(one)).length)
      if (isAlias(node)) aliases += 1
      return nodes > maxNodes || levels > maxLevels ? visit.BREAK : undefined
    },
  })
  if (oddKey) return 'a key must be plain text'
  if (levels > maxLevels) return `nested more than ${maxLevels} levels deep`
  if (nodes > maxNodes) return `more than ${maxNodes} values in one document`
  return aliases > maxAliases ? `more than ${maxAliases} aliases in one document` : undefined
}

type PlainValue = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly message: string }

/** Aliases multiply: their count is bounded here, and one that stands inside itself has no value. */
function plainValue(document: Document.Parsed): PlainValue {
  try {
    const value: unknown = document.toJS({ maxAliasCount: maxAliases })
    canonicalJson(value)
    return { ok: true, value }
  } catch (error) {
    return {
      ok: false,
      message: `its aliases cannot be resolved: ${error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error)}`,
    }
  }
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
  const rendered = renderIssue(issue, input.file, at, input.text)
  return { ...issue, file: input.file, line: at.line, column: at.column, rendered }
}

type Range = readonly [number, number, ...number[]] | null | undefined

function positionOf(input: Text, range: Range): Position {
  const [start, end] = range ?? [0, 0]
  const { line, col } = input.counter.linePos(start)
  const lineEnd = input.text.indexOf('\n', start)
  const stop = Math.min(end, lineEnd === -1 ? input.text.length : lineEnd)
  return { line: Math.max(1, line), column: Math.max(1, col), width: Math.max(1, stop - start) }
}

/** The key where the field itself is the matter (`VM012`, `VM020`), the value otherwise; of what is missing, the key of what it is missing from. */
function positionOfPath(input: Text, root: Node, issue: ManifestIssue): Position {
  const { key, value } = locate(root, issue.path)
  const byKey = issue.code === 'VM012' || issue.code === 'VM011' || issue.code === 'VM020'
  return positionOf(input, (byKey ? (key ?? value) : (value ?? key))?.range ?? root.range)
}

/** Walks as far as the path exists. */
function locate(root: Node, path: ManifestPath): { key: Node | undefined; value: Node | undefined } {
  let key: Node | undefined
  let value: Node | undefined = root
  for (const step of path) {
    const next = stepInto(value, step)
    if (next === undefined) return { key: key ?? value, value: key ?? value }
    key = next.key ?? key
    value = next.value
  }
  return { key, value }
}

function stepInto(node: Node | undefined, step: string | number): { key: Node | undefined; value: Node | undefined } | undefined {
  if (isMap(node)) {
    const pair = node.items.find((item) => isNode(item.key) && String(item.key.toJSON()) === String(step))
    if (pair === undefined) return undefined
    return { key: isNode(pair.key) ? pair.key : undefined, value: isNode(pair.value) ? pair.value : undefined }
  }
  const item = isSeq(node) && typeof step === 'number' ? node.items[step] : undefined
  return isNode(item) ? { key: undefined, value: item } : undefined
}
