import { z } from 'zod'
import type { EditEffect } from '../api/manifest/about.ts'
import { virtualMachineSchema } from '../api/manifest/document.ts'
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
  readonly effect?: EditEffect
  readonly notYet?: true
  readonly notYetValues?: readonly string[]
  readonly oneSoFar?: true
  readonly unit?: string
  readonly least?: string
  readonly most?: string
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
    explain: (path) => page(fieldAt(root, stepsOf(path), suggest)),
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
    // Nothing below it exists either.
    if (field.schema.notYet === true) return field
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
  if (schema.notYet === true) return `${head}: not supported yet\n\n${indented(schema.description ?? '')}\n`
  const facts = [
    ['type', fullType(schema)],
    ...valueFacts(schema),
    ['required', required ? 'yes' : 'no'],
    ...effectFacts(schema),
    ...laterFacts(schema),
  ]
  const table = facts.map(([key, value]) => `  ${(key ?? '').padEnd(12)}${value}`)
  const parts = [head, indented(schema.description ?? ''), table.join('\n'), fieldList(field)]
  return `${parts.filter((part) => part.trim() !== '').join('\n\n')}\n`
}

const effectTexts: Readonly<Record<EditEffect, string>> = {
  live: 'live: takes hold at once, the VM runs on',
  restart: 'restart: takes hold when the VM is restarted',
  recreate: 'recreate: makes another VM',
  'destroys-data': 'destroys-data: refused unless an annotation allows it',
}

function effectFacts({ effect }: Schema): string[][] {
  return effect === undefined ? [] : [['edit', effectTexts[effect]]]
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
    ['values', schema.enum?.filter((one) => schema.notYetValues?.includes(String(one)) !== true).join(', ')],
    ['default', schema.default === undefined || schema.type === 'object' ? undefined : shown(schema.default)],
    ['least', schema.least ?? schema.minimum],
    ['most', schema.most ?? schema.maximum],
    ['length', range(schema.minLength, schema.maxLength, 'characters')],
    ['entries', range(schema.minItems, schema.maxItems, '')],
    ['pattern', schema.unit === undefined ? schema.pattern : undefined],
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

function laterFacts({ notYetValues, oneSoFar }: Schema): string[][] {
  return [
    ...(notYetValues === undefined ? [] : [['later', `${notYetValues.join(', ')}: not supported yet`]]),
    ...(oneSoFar === true ? [['later', 'more than one entry: not supported yet']] : []),
  ]
}

function fieldList({ schema }: Field): string {
  const fields = fieldsOf(schema)
  const built = fields.filter((field) => field.schema.notYet !== true)
  const rows = [
    ...built.map((field) => [field.name, `${typeOf(field.schema)}${field.required ? ', required' : ''}`, field.schema.description ?? '']),
    ...fields.flatMap((field) => (built.includes(field) ? [] : [[field.name, 'not supported yet', field.schema.description ?? '']])),
  ]
  const widths = [0, 1].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const lines = rows.map((row) => `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd())
  return rows.length === 0 ? '' : `fields:\n${lines.join('\n')}`
}
