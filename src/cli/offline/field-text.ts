import type { FieldSchema } from '../../api/manifest/json-schema.ts'

/** Describes manifest fields, for `explain` and for the tables in the documentation. */

/** A field with its place in the parent object. */
export interface Field {
  readonly name: string
  readonly schema: FieldSchema
  readonly required: boolean
}

/** The fields of an object, of a list's entries, or of all forms of a value. */
export function fieldsOf(schema: FieldSchema): readonly Field[] {
  if (schema.items !== undefined) return fieldsOf(schema.items)
  const own = Object.entries(schema.properties ?? {}).map(([name, inner]) => ({
    name,
    schema: inner,
    required: schema.required?.includes(name) ?? false,
  }))
  // Each is one of several forms, so none of their fields is required.
  const forms = (schema.anyOf ?? []).flatMap(fieldsOf).map((field) => ({ ...field, required: false }))
  return [...own, ...forms]
}

/** `yes`, `no`, or the condition. */
export function neededText({ schema, required }: Omit<Field, 'name'>): string {
  return schema.needed ?? (required ? 'yes' : 'no')
}

/** Parts of a field that are not supported yet. */
export function laterFacts({ notYetValues }: FieldSchema): string[] {
  return notYetValues === undefined ? [] : [notYetValues.join(', ')]
}

export function fullType(schema: FieldSchema): string {
  return schema.unit === undefined ? typeOf(schema) : `${typeOf(schema)} (${schema.unit})`
}

export function typeOf(schema: FieldSchema): string {
  if (schema.items !== undefined) return `list of ${plural(typeOf(schema.items))}`
  if (schema.unit !== undefined) return 'quantity'
  if (typeof schema.additionalProperties === 'object') return 'map[string]string'
  const forms = schema.anyOf?.map((form) => Object.keys(form.properties ?? {}))
  if (forms?.every((keys) => keys.length === 1) === true) return 'object with one of its fields'
  if (schema.anyOf !== undefined) return [...new Set(schema.anyOf.map(formOf))].join(' or ')
  if (schema.type === 'boolean' && schema.const !== undefined) return shown(schema.const)
  return schema.form === undefined ? (typeNames[schema.type ?? ''] ?? 'any') : `string, for example ${schema.form}`
}

const typeNames: Readonly<Record<string, string>> = {
  string: 'string',
  integer: 'integer',
  number: 'number',
  null: 'null',
  boolean: 'boolean',
  object: 'object',
}

function plural(type: string): string {
  return `${type}s`
}

function formOf(schema: FieldSchema): string {
  if (schema.const !== undefined) return shown(schema.const)
  return typeOf(schema)
}

/** Pairs of label and value. */
export function valueFacts(schema: FieldSchema): string[][] {
  const facts: [string, string | number | undefined][] = [
    ['value', schema.const === undefined || schema.type === 'boolean' ? undefined : shown(schema.const)],
    ['values', schema.enum?.filter((one) => schema.notYetValues?.includes(String(one)) !== true).join(', ')],
    ['default', hasDefault(schema) ? shown(schema.default) : undefined],
    ['minimum', schema.least ?? schema.minimum],
    ['maximum', schema.most ?? schema.maximum],
    ['length', range(schema.minLength, schema.maxLength, 'characters')],
    ['entries', range(schema.minItems, schema.maxItems, '')],
    ['pattern', schema.unit === undefined && schema.form === undefined ? schema.pattern : undefined],
  ]
  return facts.flatMap(([key, value]) => (value === undefined ? [] : [[key, `${value}`]]))
}

function hasDefault({ default: value, type }: FieldSchema): boolean {
  return value !== undefined && type !== 'object' && !(Array.isArray(value) && value.length === 0)
}

function shown(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}

function range(least: number | undefined, most: number | undefined, what: string): string | undefined {
  if (most === undefined) return undefined
  const numbers = least === most ? `exactly ${most}` : `${least ?? 0} to ${most}`
  return `${numbers} ${what}`.trimEnd()
}
