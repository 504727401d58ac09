import { type Document, LineCounter, parseAllDocuments, Schema, type YAMLError } from 'yaml'
import type { ManifestIssue } from '../../api/manifest.ts'
import type { InvalidDocument, ReadDocument, SourceIssue } from '../../api/manifest/source-documents.ts'
import { readValue } from './read-value.ts'
import { renderIssue } from './render.ts'
import { shownLines } from './shown-lines.ts'
import { fieldSuggester, type Suggest } from './suggest.ts'
import { describeSyntaxError } from './syntax.ts'
import { located, positionOf, type Text } from './text.ts'
import { maxDocuments, type Refused, refusedText } from './text-limits.ts'
import { refusedTree } from './tree-limits.ts'

export const maxManifestBytes = 256 * 1024

/** Reads the documents of one manifest file or config. Never throws. Hostile input takes a bounded time and becomes an issue. */
export type ReadManifest = (source: string, file: string, bytes: Uint8Array) => readonly ReadDocument[]

export function manifestReader(): ReadManifest {
  const suggest = fieldSuggester()
  return (source, file, bytes) => {
    const context = { source, file, suggest }
    try {
      return readManifest(context, bytes)
    } catch (error) {
      // All other known causes are excluded above, so the parser's stack overflowed.
      const isStack = error instanceof RangeError
      const message = isStack ? 'it cannot be parsed: it is nested too deep' : 'it cannot be parsed'
      return [wholeFile(context, 'VM003', message, 'a manifest needs a few levels only')]
    }
  }
}

/** A file that cannot be read at all. */
export function unreadableFile(source: string, file: string, message: string): InvalidDocument {
  return wholeFile({ source, file }, 'VM001', message, 'make it readable for the controller, or remove it')
}

interface Place {
  readonly source: string
  readonly file: string
}
type Context = Place & { readonly suggest: Suggest }

/** An issue of a file whose document names are unknown. */
function wholeFile(place: Place, code: string, message: string, help: string): InvalidDocument {
  const rendered = renderIssue({ code, message, help }, { file: place.file, line: 1, column: 1, excerpt: '' })
  const issue = { code, path: [], message, help, file: place.file, line: 1, column: 1, rendered }
  return { ok: false, origin: { source: place.source, file: place.file, line: 1 }, name: undefined, issues: [issue] }
}

function readManifest(context: Context, bytes: Uint8Array): readonly ReadDocument[] {
  if (bytes.length > maxManifestBytes)
    return [wholeFile(context, 'VM003', 'the file is larger than 256 KiB', 'split it: one file may hold some VMs, not all')]
  const decoded = decode(bytes)
  const input = { ...context, text: decoded.text, lines: shownLines(decoded.text), counter: counterOf(decoded.text) }
  const refused = decoded.refused ?? refusedText(decoded.text)
  if (refused !== undefined) return [refusedFile(input, refused)]
  const documents = parse(decoded.text)
  if (documents.length > maxDocuments) return [wholeFile(context, 'VM003', `more than ${maxDocuments} documents in one file`, 'split it')]
  const broken = documents.find((document) => document.errors.length + document.warnings.length > 0)
  // After a syntax error, the borders of the documents around it are unknown.
  if (broken !== undefined) return [syntaxErrors(input, documents)]
  return documents.flatMap((document) => readDocument(input, document))
}

interface Decoded {
  /** The part that could be decoded. */
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

/** With `stream`, the last character may be incomplete. */
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

/** Shared, because the parser would make one for each document. */
const schema = new Schema({ schema: 'core', resolveKnownTags: false })

/** `refusedTree` compares the keys. The parser would create one error with a stack trace for each character, which takes a second. */
function parse(text: string): readonly Document.Parsed[] {
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 0
  try {
    const options = { schema, uniqueKeys: false, keepSourceTokens: false, prettyErrors: false } as const
    const parsed = parseAllDocuments(text, options)
    return Array.isArray(parsed) ? parsed : []
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}

function refusedFile(input: Text, refused: Refused): InvalidDocument {
  const at = positionOf(input, [refused.offset, refused.end ?? refused.offset])
  const issues = [located(input, issueOf(refused), at)]
  return { ok: false, origin: { source: input.source, file: input.file, line: at.line }, name: undefined, issues }
}

function issueOf({ code, message, help }: Refused): ManifestIssue {
  return { code, path: [], message, ...(help === undefined ? {} : { help }) }
}

function syntaxErrors(input: Text, documents: readonly Document[]): InvalidDocument {
  const all = documents.flatMap((document) => [...document.errors, ...document.warnings])
  // The parser may report two errors at one place. The second one follows from the first.
  const byPlace = new Map(all.toReversed().map((error) => [error.pos[0], error]))
  const issues = [...byPlace.values()]
    .toReversed()
    .slice(0, 10)
    .map((error) => syntaxIssue(input, error))
  return { ok: false, origin: { source: input.source, file: input.file, line: issues[0]?.line ?? 1 }, name: undefined, issues }
}

function syntaxIssue(input: Text, error: YAMLError): SourceIssue {
  const { message, help } = describeSyntaxError(error)
  const issue = { code: 'VM002', path: [], message: `not YAML: ${message}`, ...(help === undefined ? {} : { help }) }
  return located(input, issue, positionOf(input, [error.pos[0], error.pos[1]]))
}

function readDocument(input: Text, document: Document.Parsed): readonly ReadDocument[] {
  const refused = document.contents === null ? undefined : refusedTree(document)
  if (document.contents === null || refused === undefined) return readValue(input, document)
  const start = positionOf(input, document.contents.range)
  const issue = located(input, issueOf(refused), positionOf(input, [refused.offset, refused.end ?? refused.offset]))
  return [{ ok: false, origin: { source: input.source, file: input.file, line: start.line }, name: undefined, issues: [issue] }]
}
