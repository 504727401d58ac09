import { isMap, isNode, isScalar, isSeq, type Node, type YAMLMap } from 'yaml'
import type { ManifestIssue, ManifestPath } from '../../api/manifest.ts'

type Place = { readonly key: Node | undefined; readonly value: Node | undefined }
type Range = Node['range']

/**
 * Locates an issue's path in the document: the key for issues about the field itself (`VM011`, `VM012`, `VM020`), otherwise the value. A missing
 * field is located at its parent's key. Maps are indexed once, since one document can have thousands of issues.
 */
export function locator(root: Node): (issue: ManifestIssue) => Range {
  const indexes = new Map<YAMLMap, ReadonlyMap<string, Place>>()
  return (issue) => {
    const { key, value } = locate(root, issue.path, indexes)
    const byKey = issue.code === 'VM012' || issue.code === 'VM011' || issue.code === 'VM020'
    return (byKey ? (key ?? value) : (value ?? key))?.range ?? root.range
  }
}

/** Follows the path as far as it exists. */
function locate(root: Node, path: ManifestPath, indexes: Map<YAMLMap, ReadonlyMap<string, Place>>): Place {
  let key: Node | undefined
  let value: Node | undefined = root
  for (const step of path) {
    const next = stepInto(value, step, indexes)
    if (next === undefined) return { key: key ?? value, value: key ?? value }
    key = next.key ?? key
    value = next.value
  }
  return { key, value }
}

function stepInto(node: Node | undefined, step: string | number, indexes: Map<YAMLMap, ReadonlyMap<string, Place>>): Place | undefined {
  if (isMap(node)) {
    const index = indexes.get(node) ?? indexOf(node)
    indexes.set(node, index)
    return index.get(String(step))
  }
  const item = isSeq(node) && typeof step === 'number' ? node.items[step] : undefined
  return isNode(item) ? { key: undefined, value: item } : undefined
}

function indexOf(map: YAMLMap): ReadonlyMap<string, Place> {
  return new Map(map.items.map(({ key, value }) => [keyText(key), { key: nodeOf(key), value: nodeOf(value) }]))
}

/** The property name of a key. */
export function keyText(key: unknown): string {
  const value = isScalar(key) ? key.value : undefined
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? String(value) : ''
}

function nodeOf(value: unknown): Node | undefined {
  return isNode(value) ? value : undefined
}
