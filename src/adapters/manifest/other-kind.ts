import { closest } from '../../api/closest.ts'
import { apiVersion, classKind, kind, listKind } from '../../api/manifest.ts'

const group = apiVersion.split('/')[0] ?? ''

/**
 * The kind of another tool's well-formed document, such as "apps/v1 Deployment". Undefined if it may be one of our VMs with a mistake in its head,
 * since that VM must not count as deleted.
 */
export function otherKind(value: unknown): string | undefined {
  if (Array.isArray(value)) return 'a list'
  if (value === null || typeof value !== 'object') return undefined
  const { apiVersion: version, kind: kindHere } = value as Readonly<Record<string, unknown>>
  if (!isTextOrNothing(version) || !isTextOrNothing(kindHere)) return undefined
  const theirs = version?.split('/')[0] ?? ''
  if (isNear(theirs, group)) return undefined
  // Other projects also have a VirtualMachine. Their apiVersion has a group, with a dot.
  const isOurs = kindHere === listKind || isNear(kindHere ?? '', kind) || isNear(kindHere ?? '', classKind)
  if (isOurs && !theirs.includes('.')) return undefined
  if (version === undefined && kindHere === undefined) return 'metadata' in value || 'spec' in value ? undefined : 'no kind'
  return [version, kindHere]
    .filter((one) => one !== undefined)
    .map((one) => one.slice(0, 60))
    .join(' ')
}

function isTextOrNothing(value: unknown): value is string | undefined {
  return value === undefined || typeof value === 'string'
}

function isNear(text: string, ours: string): boolean {
  return closest(text, [ours]) !== undefined
}
