import * as z from 'zod'
import type { ManifestPath } from '../../api/manifest.ts'
import { virtualMachineClassSchema, virtualMachineSchema } from '../../api/manifest/document.ts'

type JsonSchema = {
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly items?: JsonSchema
  readonly anyOf?: readonly JsonSchema[]
  readonly additionalProperties?: JsonSchema | boolean
}

/** Names the field that was probably meant, from the schema's own keys. */
export type Suggest = (path: ManifestPath, kind?: 'machine' | 'class') => string | undefined

export function fieldSuggester(): Suggest {
  // Made with the first typo: a manifest without one need not wait for it.
  const schemas = new Map<string, JsonSchema>()
  return (path, kind = 'machine') => {
    const wrong = path.at(-1)
    if (typeof wrong !== 'string') return undefined
    const schema = schemas.get(kind) ?? jsonSchemaOf(kind === 'class' ? virtualMachineClassSchema : virtualMachineSchema)
    schemas.set(kind, schema)
    return helpFor(wrong, keysAt(schema, path.slice(0, -1)))
  }
}

function jsonSchemaOf(schema: z.ZodType): JsonSchema {
  return z.toJSONSchema(schema, { target: 'draft-7', io: 'input', unrepresentable: 'any' }) as JsonSchema
}

function helpFor(wrong: string, keys: readonly string[]): string | undefined {
  const [best] = keys
    .map((key) => ({ key, distance: distance(wrong.toLowerCase(), key.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance)
  if (best !== undefined && best.distance <= Math.max(1, Math.floor(Math.max(wrong.length, best.key.length) / 3)))
    return `did you mean "${best.key}"?`
  return keys.length === 0 ? undefined : `fields here are ${keys.join(', ')}`
}

function keysAt(schema: JsonSchema, path: ManifestPath): string[] {
  let here = [schema]
  for (const key of path) here = here.flatMap((one) => branches(one)).flatMap((one) => child(one, key))
  return [...new Set(here.flatMap(branches).flatMap((one) => Object.keys(one.properties ?? {})))]
}

function branches(schema: JsonSchema): readonly JsonSchema[] {
  return schema.anyOf ?? [schema]
}

function child(schema: JsonSchema, key: string | number): JsonSchema[] {
  const found = typeof key === 'number' ? schema.items : schema.properties?.[key]
  return found === undefined ? [] : [found]
}

/** Levenshtein's, over texts that are cut to 40 characters. */
function distance(a: string, b: string): number {
  const left = a.slice(0, 40)
  const right = b.slice(0, 40)
  let row = Array.from({ length: right.length + 1 }, (_, index) => index)
  for (let i = 0; i < left.length; i += 1) {
    const next = [i + 1]
    for (let j = 1; j <= right.length; j += 1) {
      const replaced = (row[j - 1] ?? 0) + (left[i] === right[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row.at(-1) ?? 0
}
