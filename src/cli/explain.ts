import { z } from 'zod'
import { virtualMachineSchema } from '../api/manifest.ts'
import { notYetFields, notYetLists, notYetValues } from '../api/not-yet.ts'
import { UsageError } from './outcome.ts'

/** What is used of the JSON Schema that zod makes of the manifest; `unit`, `least` and `form` are the manifest schema's own. */
interface Schema {
  readonly type?: string
  readonly description?: string
  readonly default?: unknown
  readonly const?: unknown
  readonly enum?: readonly unknown[]
  readonly pattern?: string
  readonly minimum?: number
  readonly maximum?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly minItems?: number
  readonly maxItems?: number
  readonly unit?: string
  readonly least?: string
  readonly form?: string
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly items?: Schema
  readonly anyOf?: readonly Schema[]
  readonly additionalProperties?: Schema | boolean
}

interface Field {
  readonly name: string
  readonly schema: Schema
  readonly required: boolean
}

/** Explains fields of the manifest by the very schema that judges it. */
export interface Explainer {
  /** All about one field: `spec.networks.bridge`, also as `spec.networks[].bridge` or `[0]`; empty for the whole. Throws UsageError for none. */
  readonly explain: (path: string) => string
  /** The description alone. Throws UsageError for no field. */
  readonly describe: (path: string) => string
}

/** `suggest` names the field that was probably meant. */
export function explainer(suggest: (path: readonly (string | number)[]) => string | undefined): Explainer {
  const root = z.toJSONSchema(virtualMachineSchema, { target: 'draft-7', io: 'input', unrepresentable: 'any' }) as Schema
  return {
    explain(path) {
      const steps = stepsOf(path)
      const later = laterField(steps)
      return later === undefined ? page(fieldAt(root, steps, suggest)) : `${later.name}: not supported yet\n\n  ${later.description}\n`
    },
    describe: (path) => fieldAt(root, stepsOf(path), suggest).schema.description ?? '',
  }
}

/** A list's index says nothing about its fields: `networks[0].bridge`, `networks[].bridge` and `networks.bridge` are the same. */
function stepsOf(path: string): readonly string[] {
  return path
    .replaceAll(/\[\d*\]/g, '')
    .split('.')
    .filter((step) => step !== '' && step !== '*' && !/^\d+$/.test(step))
}

/** A field of the planned shape, also one below it, since nothing below it exists either. */
function laterField(steps: readonly string[]): { readonly name: string; readonly description: string } | undefined {
  const path = steps.join('.')
  for (const [name, description] of notYetFields) {
    const plain = name.replaceAll('.*', '')
    if (path === plain || path.startsWith(`${plain}.`)) return { name: name.replaceAll('.*', '[]'), description }
  }
  return undefined
}

function fieldAt(root: Schema, steps: readonly string[], suggest: (path: readonly (string | number)[]) => string | undefined): Field {
  let field: Field = { name: '', schema: root, required: true }
  const walked: (string | number)[] = []
  for (const step of steps) {
    const isList = field.schema.items !== undefined
    if (isList) walked.push(0)
    walked.push(step)
    const next = fieldsOf(field.schema).find((one) => one.name === step)
    if (next === undefined) throw new UsageError(nothingAt(field, step, suggest(walked)))
    field = { ...next, name: `${field.name}${isList ? '[]' : ''}${field.name === '' ? '' : '.'}${step}` }
  }
  return field
}

function nothingAt(parent: Field, step: string, help: string | undefined): string {
  const where = parent.name === '' ? 'a manifest' : parent.name
  return `there is no field "${step}" in ${where}${help === undefined ? '' : `\nhelp: ${help}`}`
}

/** Of an object, of what a list holds, or of all forms that a value may have. */
function fieldsOf(schema: Schema): readonly Field[] {
  if (schema.items !== undefined) return fieldsOf(schema.items)
  const own = Object.entries(schema.properties ?? {}).map(([name, inner]) => ({
    name,
    schema: inner,
    required: schema.required?.includes(name) ?? false,
  }))
  // One of several forms: none of their fields is needed by itself.
  const forms = (schema.anyOf ?? []).flatMap(fieldsOf).map((field) => ({ ...field, required: false }))
  return [...own, ...forms]
}

function page(field: Field): string {
  const { name, schema, required } = field
  const head = name === '' ? 'VirtualMachine' : name
  const facts = [['type', fullType(schema)], ...valueFacts(schema), ['required', required ? 'yes' : 'no'], ...laterFacts(name)]
  const table = facts.map(([key, value]) => `  ${(key ?? '').padEnd(12)}${value}`)
  const parts = [head, indented(schema.description ?? ''), table.join('\n'), fieldList(field)]
  return `${parts.filter((part) => part.trim() !== '').join('\n\n')}\n`
}

function indented(text: string): string {
  return text.replaceAll(/^/gm, '  ')
}

function fullType(schema: Schema): string {
  return schema.unit === undefined ? typeOf(schema) : `${typeOf(schema)} (${schema.unit})`
}

function typeOf(schema: Schema): string {
  if (schema.items !== undefined) return `list of ${plural(typeOf(schema.items))}`
  if (schema.unit !== undefined) return 'quantity'
  if (typeof schema.additionalProperties === 'object') return 'mapping of texts to texts'
  if (schema.anyOf !== undefined) return [...new Set(schema.anyOf.map(formOf))].join(' or ')
  return typeNames[schema.type ?? ''] ?? 'any'
}

const typeNames: Readonly<Record<string, string>> = { string: 'text', integer: 'whole number', boolean: 'true or false', object: 'object' }

function plural(type: string): string {
  return `${type}s`
}

function formOf(schema: Schema): string {
  if (schema.const !== undefined) return shown(schema.const)
  return schema.form === undefined ? typeOf(schema) : `text like ${schema.form}`
}

function valueFacts(schema: Schema): string[][] {
  const facts: [string, string | number | undefined][] = [
    ['value', schema.const === undefined ? undefined : shown(schema.const)],
    ['values', schema.enum?.join(', ')],
    ['default', schema.default === undefined || schema.type === 'object' ? undefined : shown(schema.default)],
    ['least', schema.least ?? schema.minimum],
    ['most', schema.maximum],
    ['length', range(schema.minLength, schema.maxLength, 'characters')],
    ['entries', range(schema.minItems, schema.maxItems, '')],
    ['pattern', schema.pattern],
  ]
  return facts.flatMap(([key, value]) => (value === undefined ? [] : [[key, `${value}`]]))
}

function shown(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}

function range(least: number | undefined, most: number | undefined, what: string): string | undefined {
  if (most === undefined) return undefined
  const numbers = least === most ? `exactly ${most}` : `${least ?? 0} to ${most}`
  return `${numbers} ${what}`.trimEnd()
}

function laterFacts(name: string): string[][] {
  const path = name.replaceAll('[]', '.*')
  const values = notYetValues.get(path)
  return [
    ...(values === undefined ? [] : [['later', `${values.join(', ')}: not supported yet`]]),
    ...(notYetLists.has(path) ? [['later', 'more than one entry: not supported yet']] : []),
  ]
}

function fieldList({ name, schema }: Field): string {
  const fields = fieldsOf(schema).map((field) => [
    field.name,
    `${typeOf(field.schema)}${field.required ? ', required' : ''}`,
    field.schema.description ?? '',
  ])
  const path = `${name}${schema.items === undefined ? '' : '[]'}`.replaceAll('[]', '.*')
  const later = [...notYetFields]
    .filter(([one]) => one.slice(0, one.lastIndexOf('.')) === path)
    .map(([one, description]) => [one.slice(one.lastIndexOf('.') + 1), 'not supported yet', description])
  const rows = [...fields, ...later]
  const widths = [0, 1].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const lines = rows.map((row) => `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd())
  return rows.length === 0 ? '' : `fields:\n${lines.join('\n')}`
}
