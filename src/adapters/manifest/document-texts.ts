import { Document, isMap, isSeq, LineCounter, type Node, parseAllDocuments } from 'yaml'
import { canonicalJson } from '../../api/hash.ts'
import type { ManifestText } from '../../ports/manifest-texts.ts'
import { refusedText } from './text-limits.ts'

const options = { schema: 'core', resolveKnownTags: false } as const

/** Splits at the ends of documents, so that comments stay above the content that they describe. */
export function documentTexts(text: string): readonly ManifestText[] {
  // Applies the reader's limits, above all for depth, since this also calls the parser.
  if (refusedText(text) !== undefined) return []
  const lineCounter = new LineCounter()
  const parsed = parseAllDocuments(text, { ...options, lineCounter })
  if (!Array.isArray(parsed) || parsed.some((document) => document.errors.length > 0)) return []
  const ends = parsed.map((document) => document.range[2])
  return parsed.flatMap((document, index) => {
    const value: unknown = document.toJS()
    if (value === null || typeof value !== 'object') return []
    const lineOf = (node: Node | null): number => Math.max(1, lineCounter.linePos(node?.range?.[0] ?? 0).line)
    if (kindOf(value) === 'List') return listEntries(document, value, lineOf)
    const own = tidy(text.slice(index === 0 ? 0 : ends[index - 1], ends[index]))
    return [named(value, sameValue(own, value) ? own : String(new Document(value)), lineOf(document.contents))]
  })
}

/** `---` and `...` are redundant around a single document, except with a directive (`%YAML`). */
function tidy(slice: string): string {
  const plain = slice.startsWith('%')
    ? slice
    : slice.replace(/^(?:[ \t]*\r?\n)*---[ \t]*(?:\r?\n|$)/, '').replace(/\r?\n(?:\.\.\.|---)[ \t]*\s*$/, '\n')
  return `${plain.replace(/^(?:[ \t]*\r?\n)+/, '').trimEnd()}\n`
}

/** A split must not change the declared values. */
function sameValue(text: string, value: unknown): boolean {
  const again = parseAllDocuments(text, options)
  const [only] = Array.isArray(again) ? again : []
  return again.length === 1 && only !== undefined && only.errors.length === 0 && canonicalJson(only.toJS()) === canonicalJson(value)
}

/** Writes each entry with its comments: entries of a list are indented, and their anchors may be in another entry. */
function listEntries(document: Document.Parsed, value: object, lineOf: (node: Node | null) => number): readonly ManifestText[] {
  const values = (value as { items?: unknown }).items
  const nodes = isMap(document.contents) ? document.contents.get('items', true) : undefined
  if (!Array.isArray(values) || !isSeq(nodes)) return []
  return values.map((inner: unknown, index) => {
    const node = nodes.items[index] as Node
    const own = withComments(node)
    return named(inner, own !== undefined && sameValue(own, inner) ? own : String(new Document(inner)), lineOf(node))
  })
}

/** Undefined if an alias refers to another entry. */
function withComments(node: Node): string | undefined {
  try {
    const alone = new Document(null)
    alone.contents = node
    return String(alone)
  } catch {
    return undefined
  }
}

function named(value: unknown, text: string, line: number): ManifestText {
  const name = (value as { metadata?: { name?: unknown } | null } | null)?.metadata?.name
  return { kind: kindOf(value), name: typeof name === 'string' ? name : '', line, text }
}

function kindOf(value: unknown): string {
  const kind = (value as { kind?: unknown } | null)?.kind
  return typeof kind === 'string' ? kind : ''
}
