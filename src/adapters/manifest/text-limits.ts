import { CST, Lexer } from 'yaml'

/** Why a text is rejected, and at which offset. */
export interface Refused {
  readonly code: string
  readonly message: string
  readonly help?: string
  /** In UTF-16 units, like all of the parser's positions. */
  readonly offset: number
  readonly end?: number
}

export const maxLevels = 64
/** Per file, which bounds the cost for any number of documents. */
export const maxNodes = 10_000
export const maxAliases = 20
/** The parser crashes from about 900 levels. This is an upper bound for `maxLevels`, which is checked exactly afterwards. */
const deepestBlock = 200
const mostIndicators = 64
/** Enough for any script in `userData` (13 characters per line fill the file). Empty lines alone cost the parser a third of a second. */
const maxLines = 20_000
export const maxDocuments = 1_000
/** A pair or a list entry has one mark. A mark without a value costs the parser as much as a value. */
const maxMarks = maxNodes
/** Values, marks and comments together: 5,000 pairs. They determine the parser's time, about 4 µs each at worst. */
const maxTokens = 15_000
const tooManyLevels = 'a manifest needs a few levels only'

/** YAML's printable characters, 5.1. A byte order mark is only allowed at the beginning of the file, where decoding removes it. */
const notPrintable = /[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]|\ufeff/u
/** Checks a text before the parser does, with the parser's own tokens. The check uses no recursion, and its memory does not grow with the depth. */
export function refusedText(text: string): Refused | undefined {
  const offset = text.search(notPrintable)
  if (offset !== -1) return notText(text, offset)
  return tooManyLines(text) ?? refusedToken(text)
}

function notText(text: string, offset: number): Refused {
  const found = `U+${(text.codePointAt(offset) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`
  return { code: 'VM004', message: `the character ${found} must not stand in a manifest`, help: 'save it as plain UTF-8 text', offset }
}

function tooManyLines(text: string): Refused | undefined {
  let offset = -1
  for (let lines = 0; lines < maxLines; lines += 1) {
    offset = text.indexOf('\n', offset + 1)
    if (offset === -1) return undefined
  }
  return { code: 'VM003', message: `more than ${maxLines} lines`, help: 'split it', offset }
}

interface Scan {
  nodes: number
  marks: number
  comments: number
  documents: number
  /** For every open `[` and `{`: the number of colons and similar marks in its current entry. */
  readonly flow: number[]
  chained: number
  /** Open lines of block structure, by indentation. */
  readonly open: { readonly indent: number; levels: number }[]
  depth: number
  indent: number
  /** Only white space so far on this line. */
  lineStart: boolean
}

/** The lexer's tokens with their offsets. `isScalar`: the token is the text of a scalar, and may look like a mark. */
export function* tokensOf(text: string): Generator<{ readonly token: string; readonly offset: number; readonly isScalar: boolean }> {
  let offset = 0
  let isScalar = false
  for (const token of new Lexer().lex(text)) {
    yield { token, offset, isScalar }
    // The lexer adds these control characters; they are not in the text.
    const isAdded = !isScalar && (token === CST.DOCUMENT || token === CST.FLOW_END || token === CST.SCALAR)
    isScalar = !isScalar && token === CST.SCALAR
    if (!isAdded) offset += token.length
  }
}

function refusedToken(text: string): Refused | undefined {
  const scan: Scan = { nodes: 0, marks: 0, comments: 0, documents: 0, flow: [], chained: 0, open: [], depth: 0, indent: 0, lineStart: true }
  for (const { token, offset, isScalar } of tokensOf(text)) {
    const found = isScalar ? undefined : look(scan, token)
    if (found !== undefined) return { ...found, offset }
  }
  return undefined
}

type Found = Omit<Refused, 'offset'> | undefined

function look(scan: Scan, token: string): Found {
  const first = token.charAt(0)
  if (first === '\n' || first === '\r' || first === ' ' || first === '\t') return space(scan, token)
  if (first === '#') return counted(scan, token)
  return first === '%' ? directive(token) : (counted(scan, token) ?? flow(scan, token) ?? block(scan, token))
}

function space(scan: Scan, token: string): undefined {
  if (token.includes('\n')) {
    scan.lineStart = true
    scan.indent = 0
  } else if (scan.lineStart) scan.indent += token.length
}

/** `%YAML 1.1` would change the meaning of the text. `%TAG` has no use. */
function directive(token: string): Found {
  if (/^%YAML[ \t]+1\.2\s*$/.test(token)) return undefined
  return { code: 'VM002', message: 'not YAML 1.2: directives are not supported', help: 'take the line that begins with % away' }
}

/** Scalars, aliases and flow collections are nodes. Every other mark may stand for an empty node, or be an error with its own cost. */
function counted(scan: Scan, token: string): Found {
  if (`${CST.SCALAR}"'*[{`.includes(token.charAt(0))) scan.nodes += 1
  else if (token.startsWith('#')) scan.comments += 1
  else scan.marks += 1
  // `...` ends a document, and another may follow without `---`.
  if (token === '---' || token === '...') scan.documents += 1
  if (scan.documents > maxDocuments) return { code: 'VM003', message: `more than ${maxDocuments} documents in one file`, help: 'split it' }
  const message = tooMany(scan)
  return message === undefined ? undefined : { code: 'VM003', message, help: 'split it: one file may hold some VMs, not all' }
}

function tooMany({ nodes, marks, comments }: Scan): string | undefined {
  if (nodes > maxNodes) return `more than ${maxNodes} values in one file`
  if (marks > maxMarks) return `more than ${maxMarks} of "- : ," and the like in one file`
  return nodes + marks + comments > maxTokens ? `more than ${maxTokens} values, comments, and "- : ," and the like in one file` : undefined
}

/** The parser nests `[a: b: c` one level deeper per colon before it reports an error. */
function flow(scan: Scan, token: string): Found {
  if (token === '[' || token === '{') scan.flow.push(0)
  // An unmatched bracket must not reduce the count.
  else if (token === ']' || token === '}') scan.chained -= scan.flow.pop() ?? 0
  else if (token === ',') endEntry(scan)
  else if (token === CST.FLOW_END || token === CST.DOCUMENT) while (scan.flow.length > 0) scan.chained -= scan.flow.pop() ?? 0
  else if (isIndicator(token)) chain(scan)
  if (scan.flow.length > maxLevels)
    return { code: 'VM003', message: `nested more than ${maxLevels} levels of [ ] and { } deep`, help: tooManyLevels }
  if (scan.chained > deepestBlock - maxLevels)
    return { code: 'VM003', message: `nested more than ${maxLevels} levels deep`, help: tooManyLevels }
  return undefined
}

function endEntry(scan: Scan): void {
  if (scan.flow.length === 0) return
  scan.chained -= scan.flow.pop() ?? 0
  scan.flow.push(0)
}

function chain(scan: Scan): void {
  const last = scan.flow.pop()
  if (last === undefined) return
  scan.flow.push(last + 1)
  scan.chained += 1
}

/** Upper bound of block nesting: one level for each open deeper line, and one for each indicator on such a line. */
function block(scan: Scan, token: string): Found {
  if (scan.flow.length > 0) return undefined
  const levels = (scan.lineStart ? beginLine(scan) : 0) + (isIndicator(token) ? 1 : 0)
  const line = scan.open.at(-1)
  if (line === undefined || levels === 0) return undefined
  line.levels += levels
  scan.depth += levels
  if (line.levels > mostIndicators) return { code: 'VM003', message: `more than ${mostIndicators} of "- ? : & !" on one line` }
  if (scan.depth > deepestBlock) return { code: 'VM003', message: `nested more than ${maxLevels} levels deep`, help: tooManyLevels }
  return undefined
}

function beginLine(scan: Scan): number {
  for (let top = scan.open.at(-1); top !== undefined && top.indent >= scan.indent; top = scan.open.at(-1)) {
    scan.depth -= top.levels
    scan.open.pop()
  }
  scan.open.push({ indent: scan.indent, levels: 0 })
  scan.lineStart = false
  return 1
}

/** Includes every colon, since the parser nests `a: b: c: d` on one line before it reports an error. */
function isIndicator(token: string): boolean {
  return token === '-' || token === '?' || token === ':' || token.startsWith('&') || token.startsWith('!')
}
