import {
  type Alias,
  type Document,
  isAlias,
  isMap,
  isNode,
  isPair,
  isScalar,
  type Node,
  type Pair,
  type Scalar,
  visit,
  type YAMLMap,
} from 'yaml'
import { keyText } from './locate.ts'
import { maxAliases, maxLevels, maxNodes, type Refused } from './text-limits.ts'

type Found = Omit<Refused, 'offset' | 'end'> | undefined
type Path = readonly (Document | Node | Pair)[]

/** Returns the first limit that a parsed document violates. */
export function refusedTree(document: Document.Parsed): Refused | undefined {
  let refused: Refused | undefined
  let nodes = 0
  let aliases = 0
  const weigh = scales(document)
  const refuse = (found: Found, at: Node): symbol | undefined => {
    if (found === undefined) return undefined
    refused = { ...found, offset: at.range?.[0] ?? 0, end: at.range?.[1] ?? 0 }
    return visit.BREAK
  }
  visit(document, {
    Node(_key, node, path) {
      nodes += 1
      if (isAlias(node)) aliases += 1
      if (nodes > maxNodes) return refuse({ code: 'VM003', message: `more than ${maxNodes} values in one document` }, node)
      if (aliases > maxAliases) return refuse({ code: 'VM003', message: `more than ${maxAliases} aliases in one document` }, node)
      const found =
        tooDeep(path) ??
        (isAlias(node) ? (brokenAlias(document, node, path) ?? tooHeavy(weigh(node))) : isScalar(node) ? notText(node) : undefined)
      return refuse(found, node) ?? (isMap(node) ? keysOf(node, document.contents === node, refuse) : undefined)
    },
  })
  return refused
}

function tooDeep(path: Path): Found {
  const levels = path.filter((one) => !isPair(one)).length
  return levels > maxLevels ? { code: 'VM003', message: `nested more than ${maxLevels} levels deep` } : undefined
}

/** An alias inside its own anchor has no value. */
function brokenAlias(document: Document.Parsed, alias: Alias, path: Path): Found {
  const meant = alias.resolve(document)
  if (meant === undefined) return { code: 'VM003', message: `the alias *${alias.source} has no anchor before it` }
  return path.includes(meant) ? { code: 'VM003', message: `the alias *${alias.source} contains itself` } : undefined
}

/** Maximum size of a document with its aliases expanded: the maximum number of values, or a million characters. */
const heaviest = 1_000_000
const nodeWeight = heaviest / maxNodes

function tooHeavy(weight: number): Found {
  return weight > heaviest ? { code: 'VM003', message: 'the aliases expand to more than a document may contain' } : undefined
}

/** Weighs each node once. Aliases only refer back, so the weight of earlier nodes is known. */
function scales(document: Document.Parsed): (alias: Alias) => number {
  const weights = new Map<Node, number>()
  const weigh = (node: unknown): number => {
    if (isPair(node)) return weigh(node.key) + weigh(node.value)
    if (!isNode(node)) return 0
    const known = weights.get(node)
    if (known !== undefined) return known
    // An alias inside its own anchor would recurse.
    weights.set(node, 0)
    const weight = nodeWeight + inside(node)
    weights.set(node, weight)
    return weight
  }
  const inside = (node: Node): number => {
    if (isAlias(node)) return weigh(node.resolve(document))
    if (isScalar(node)) return typeof node.value === 'string' ? node.value.length : 0
    return node.items.reduce<number>((sum, item) => sum + weigh(item), 0)
  }
  return () => weigh(document.contents)
}

/** Escapes can create characters that a file cannot contain: an unpaired surrogate, or NUL. */
function notText(scalar: Scalar): Found {
  const { value } = scalar
  if (typeof value !== 'string' || (value.isWellFormed() && !value.includes('\0'))) return undefined
  return { code: 'VM004', message: 'a text with half a character (\\ud800 to \\udfff) or with \\0' }
}

type Refuse = (found: Found, at: Node) => symbol | undefined

/** Compares keys here, since the parser compares each key with all others. */
function keysOf(map: YAMLMap, isRoot: boolean, refuse: Refuse): symbol | undefined {
  const seen = new Set<string>()
  for (const { key } of map.items) {
    // A mapping as a key is converted to its text, which doubles in size with every level.
    if (!isScalar(key)) return refuse({ code: 'VM003', message: 'a key must be plain text' }, isNode(key) ? key : map)
    const text = keyText(key)
    const found = wrongKey(text, seen, isRoot)
    if (found !== undefined) return refuse(found, key)
    seen.add(text)
  }
  return undefined
}

/** Record parsers drop `__proto__`, and inherited properties must not look like values of the document. */
function wrongKey(text: string, seen: ReadonlySet<string>, isRoot: boolean): Found {
  if (seen.has(text)) return { code: 'VM002', message: `the key "${text}" is there twice` }
  if (text === '__proto__' || (isRoot && text in Object.prototype)) return { code: 'VM012', message: `unknown field "${text}"` }
  return undefined
}
