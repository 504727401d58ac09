import type { About } from './about.ts'
import { type FieldPattern, patternOf } from './fields.ts'
import type { ManifestIssue, ManifestPath } from './issue.ts'

/** The schema is not deeper than this. Everything below is unknown. */
const deepest = 6

/** Fields and values that are not supported yet: rejected with that message, never ignored. Fields inside one are not checked. */
export function notYetIn(fields: ReadonlyMap<FieldPattern, About>, value: unknown, path: ManifestPath = []): ManifestIssue[] {
  const name = patternOf(path)
  const about = fields.get(name)
  if (about?.notYet === true) return [later(path, shown(name))]
  if (typeof value === 'string') {
    const early = about?.notYetValues?.find((one) => value === one || (one.endsWith('//') && value.startsWith(one)))
    return early === undefined ? [] : [later(path, `${shown(name)}: ${early}`)]
  }
  if (Array.isArray(value)) return value.flatMap((inner, index) => notYetIn(fields, inner, [...path, index]))
  if (value === null || typeof value !== 'object' || path.length >= deepest) return []
  return Object.entries(value).flatMap(([key, inner]) => notYetIn(fields, inner, [...path, key]))
}

function later(path: ManifestPath, what: string): ManifestIssue {
  return { code: 'VM020', path, message: `${what} is not supported yet` }
}

function shown(name: FieldPattern): string {
  return name.replaceAll('.*', '[]')
}
