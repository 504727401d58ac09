import * as z from 'zod'
import { closest } from '../../api/closest.ts'
import type { ManifestPath } from '../../api/manifest.ts'
import { virtualMachineClassSchema, virtualMachineSchema } from '../../api/manifest/document.ts'

type JsonSchema = {
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly items?: JsonSchema
  readonly anyOf?: readonly JsonSchema[]
  readonly additionalProperties?: JsonSchema | boolean
}

/** Suggests the intended field, from the schema's own keys. */
export type Suggest = (path: ManifestPath, kind?: 'machine' | 'class') => string | undefined

export function fieldSuggester(): Suggest {
  // Created with the first typo, so that a correct manifest does not pay for it.
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
  const best = closest(wrong, keys)
  if (best !== undefined) return `did you mean "${best}"?`
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
