import { type Document, isAlias, isMap, isNode, isScalar, isSeq, type Node, type Scalar, visit } from 'yaml'
import { tokensOf } from './text-limits.ts'

/** Why PyYAML, which cloud-init uses, rejects a text that is valid YAML. */
export interface PyYamlRefusal {
  readonly message: string
  readonly help: string
  readonly from: number
  readonly to: number
}

type Why = Pick<PyYamlRefusal, 'message' | 'help'>

/** PyYAML's `Reader.NON_PRINTABLE`. */
const notPrintable = /[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u

/** A character that PyYAML rejects anywhere, even in a comment. */
export function unprintable(text: string): PyYamlRefusal | undefined {
  const from = text.search(notPrintable)
  if (from === -1) return undefined
  const code = (text.codePointAt(from) ?? 0).toString(16).toUpperCase().padStart(4, '0')
  return { message: `the character U+${code} must not stand in YAML`, help: 'remove it', from, to: from + 1 }
}

/** The first construct that the parser accepts and PyYAML rejects. The document has no errors, and its depth and size are limited. */
export function pyYamlRefusal(text: string, document: Document.Parsed): PyYamlRefusal | undefined {
  return tabBetween(text) ?? secondDocument(text, document) ?? refusedNode(text, document)
}

const tab: Why = { message: 'a tab outside of quotes', help: 'write spaces, also at the end of a line' }

/** PyYAML only allows spaces between its tokens. */
function tabBetween(text: string): PyYamlRefusal | undefined {
  for (const { token, offset, isScalar } of tokensOf(text)) {
    if (!isScalar && /^[ \t]+$/.test(token) && token.includes('\t')) {
      const from = offset + token.indexOf('\t')
      return { ...tab, from, to: from + 1 }
    }
  }
  return undefined
}

/** `parseDocument` reads only the first document. */
function secondDocument(text: string, document: Document.Parsed): PyYamlRefusal | undefined {
  const [, , end] = document.range
  const rest = text.slice(end).search(/\S/)
  if (rest === -1) return undefined
  const why: Why = { message: 'a second document begins here', help: 'remove the --- or ... before it' }
  return { ...why, from: end + rest, to: end + rest + 1 }
}

function refusedNode(text: string, document: Document.Parsed): PyYamlRefusal | undefined {
  const anchors = new Set<string>()
  let refusal: PyYamlRefusal | undefined
  const judge = (node: Node): symbol | undefined => {
    const why = (isAlias(node) ? aliasWithout(anchors, node.source) : anchored(anchors, node.anchor)) ?? tagged(node) ?? plain(text, node)
    return why === undefined ? undefined : refuse(why, node)
  }
  const refuse = (why: Why, node: Node): symbol => {
    const [from, to] = node.range ?? [0, 0]
    refusal = { ...why, from, to }
    return visit.BREAK
  }
  visit(document, {
    Node: (_key, node) => judge(node),
    Pair: (_key, { key, value }) => {
      const why = badKey(key) ?? badMerge(key, value)
      return why === undefined || !isNode(key) ? undefined : refuse(why, key)
    },
  })
  return refusal
}

function aliasWithout(anchors: ReadonlySet<string>, name: string): Why | undefined {
  if (anchors.has(name)) return undefined
  return { message: `the alias *${name} has no anchor before it`, help: 'put quotes around a text that begins with *' }
}

function anchored(anchors: Set<string>, name: string | undefined): Why | undefined {
  if (name === undefined) return undefined
  if (anchors.has(name)) return { message: `the anchor &${name} is there twice`, help: 'give it another name' }
  anchors.add(name)
  return /^[\w-]+$/.test(name) ? undefined : { message: 'a name of an anchor with other than letters, digits, - and _', help: 'rename it' }
}

/** The tags of `SafeConstructor`. */
const tags = ['null', 'bool', 'int', 'float', 'binary', 'timestamp', 'omap', 'pairs', 'set', 'str', 'seq', 'map']

function tagged({ tag }: { readonly tag?: string | undefined }): Why | undefined {
  if (tag === undefined || tag === '!' || tags.some((one) => tag === `tag:yaml.org,2002:${one}`)) return undefined
  return { message: `the tag ${tag}, which cloud-init does not know`, help: 'put quotes around a text that begins with !' }
}

function plain(text: string, node: Node): Why | undefined {
  if (!isScalar(node) || node.type !== 'PLAIN' || !node.range) return undefined
  const source = text.slice(node.range[0], node.range[1])
  if (source.includes('\t')) return tab
  if (node.tag !== undefined) return undefined
  if (source === '=') return { message: 'a lone =', help: 'put quotes around it' }
  return isNoDate(source) ? { message: 'a date that does not exist', help: 'put quotes around it' } : undefined
}

/** A value that PyYAML resolves as a timestamp, but Python's `datetime` rejects. */
function isNoDate(source: string): boolean {
  const found = /^(\d{4})-(\d\d?)-(\d\d?)(?:(?:[Tt]|[ \t]+)(\d\d?):(\d\d):(\d\d)(?:\.\d*)?(?:[ \t]*(?:Z|[-+]\d\d?(?::\d\d)?))?)?$/.exec(
    source,
  )
  if (found === null) return false
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = found.slice(1).map((part) => Number(part ?? 0))
  // PyYAML reads a date without a time only if month and day have two digits.
  if (found[4] === undefined && source.length !== 10) return false
  const days = new Date(Date.UTC(2000 + (year % 400), month, 0)).getUTCDate()
  return year < 1 || month < 1 || month > 12 || day < 1 || day > days || hour > 23 || minute > 59 || second > 59
}

/** Python's mappings have no collections as keys, and PyYAML searches the colon within 1,024 characters. */
function badKey(key: unknown): Why | undefined {
  if (isMap(key) || isSeq(key)) return { message: 'a key that is a list or a mapping', help: 'put quotes around it' }
  if (!isScalar(key) || !isLong(key)) return undefined
  return { message: 'a key of more than 1024 characters', help: 'shorten it' }
}

function badMerge(key: unknown, value: unknown): Why | undefined {
  if (!isScalar(key) || key.type !== 'PLAIN' || key.source !== '<<' || isMap(value) || isSeq(value) || isAlias(value)) return undefined
  return { message: 'the merge key << with a value that is not a mapping', help: 'put quotes around <<, or give it an alias of a mapping' }
}

function isLong({ range }: Scalar): boolean {
  return range !== null && range !== undefined && range[1] - range[0] > 1_024
}
