import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseAllDocuments } from 'yaml'

const samples = join(import.meta.dirname, '../../../manifests')

export interface Place {
  readonly document: unknown
  readonly path: readonly (string | number)[]
}

/** Every string in a VirtualMachine of the samples: a sample of a new field is a new place. */
export function placesOfStrings(): readonly Place[] {
  const machines = readdirSync(samples)
    .filter((file) => file.endsWith('.yaml'))
    .flatMap((file) =>
      parseAllDocuments(readFileSync(join(samples, file), 'utf8')).map((one) => one.toJS() as { kind?: string; items?: unknown[] }),
    )
    .flatMap((one) => (one.kind === 'List' ? ((one.items ?? []) as { kind?: string }[]) : [one]))
    .filter((one) => one.kind === 'VirtualMachine')
  return machines.flatMap((document) => pathsOf(document, []).map((path) => ({ document, path })))
}

function pathsOf(value: unknown, path: readonly (string | number)[]): readonly (readonly (string | number)[])[] {
  if (typeof value === 'string') return [path]
  if (Array.isArray(value)) return value.flatMap((one, index) => pathsOf(one, [...path, index]))
  if (value === null || typeof value !== 'object') return []
  return Object.entries(value).flatMap(([key, inner]) => pathsOf(inner, [...path, key]))
}

/** A copy of the document with another string there. */
export function withString({ document, path }: Place, change: (before: string) => string): unknown {
  const copy = structuredClone(document)
  const last = path.at(-1) ?? ''
  const parent = path.slice(0, -1).reduce<unknown>((value, key) => (value as Record<string, unknown>)[key], copy) as Record<string, string>
  parent[last] = change(String(parent[last]))
  return copy
}
