import { type About, type EditEffect, effectTexts } from '../../api/manifest/about.ts'
import { annotationForms } from '../../api/manifest/annotations.ts'
import { apiVersion, classKind, kind, listKind, virtualMachineClassSchema, virtualMachineSchema } from '../../api/manifest/document.ts'
import { type FieldSchema, fieldSchemaOf } from '../../api/manifest/json-schema.ts'

type JsonSchema = Readonly<Record<string, unknown>>

/**
 * The schema for editors, with every kind in one file. It branches on `kind` with if/then, so that yaml-language-server completes and validates only
 * that kind. With alternatives (`anyOf`), it would guess.
 */
export function editorSchema(): JsonSchema {
  const kinds = [kind, classKind, listKind]
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: `swarmvirt manifest (${apiVersion})`,
    ...headOf(kinds, [apiVersion, 'v1']),
    allOf: kinds.map(branch),
    definitions: {
      [kind]: machine(),
      [classKind]: { title: classKind, ...edited(fieldSchemaOf(virtualMachineClassSchema), 'class') },
      [listKind]: list(),
    },
  }
}

function headOf(kinds: readonly string[], versions: readonly string[]): JsonSchema {
  return {
    type: 'object',
    required: ['apiVersion', 'kind'],
    properties: {
      apiVersion: { description: 'Version of the schema.', type: 'string', enum: versions },
      kind: { description: 'Kind of the object.', type: 'string', enum: kinds },
    },
  }
}

function branch(name: string): JsonSchema {
  return {
    if: { type: 'object', required: ['kind'], properties: { kind: { const: name } } },
    // oxlint-disable-next-line unicorn/no-thenable -- the keyword of JSON Schema
    then: { $ref: `#/definitions/${name}` },
  }
}

function machine(): JsonSchema {
  return { title: kind, ...edited(fieldSchemaOf(virtualMachineSchema), '') }
}

function list(): JsonSchema {
  const kinds = [kind, classKind]
  return {
    title: listKind,
    description: 'A list of documents, as kubectl get -o yaml prints it.',
    type: 'object',
    required: ['apiVersion', 'kind', 'items'],
    additionalProperties: false,
    properties: {
      apiVersion: { description: `v1 or ${apiVersion}.`, type: 'string', enum: ['v1', apiVersion] },
      kind: { description: 'Kind of the object.', type: 'string', const: listKind },
      metadata: { description: 'Ignored.' },
      items: {
        description: 'VirtualMachines and VirtualMachineClasses.',
        type: 'array',
        maxItems: 1000,
        items: { ...headOf(kinds, [apiVersion]), allOf: kinds.map(branch) },
      },
    },
  }
}

/** A field for editors: unsupported fields are rejected, and the description includes the effect of an edit. */
function edited(field: FieldSchema, path: string, around?: EditEffect): JsonSchema {
  if (field.notYet === true) return refused(field)
  const effect = field.effect ?? around
  const own = { ...plain(field), ...descriptionOf(field, effect), ...(effect === undefined ? {} : { 'x-swarmvirt-edit': effect }) }
  const forms = field.anyOf === undefined ? undefined : oneKeyOf(field.anyOf)
  if (forms !== undefined) return { ...own, ...edited({ type: 'object', properties: forms }, path, effect), ...oneKey }
  const below = (inner: FieldSchema, key: string): JsonSchema => edited(inner, path === '' ? key : `${path}.${key}`, effect)
  return {
    ...own,
    ...(field.anyOf === undefined ? {} : { anyOf: field.anyOf.map((one) => edited(one, path)) }),
    ...(field.items === undefined ? {} : { items: below(field.items, '*') }),
    ...(field.properties === undefined ? {} : { properties: mapped(field.properties, below), additionalProperties: false }),
    ...rules[path],
  }
}

function mapped(fields: Readonly<Record<string, FieldSchema>>, each: (field: FieldSchema, key: string) => JsonSchema): JsonSchema {
  return Object.fromEntries(Object.entries(fields).map(([key, field]) => [key, each(field, key)]))
}

/** `deprecationMessage` and `doNotSuggest` belong to yaml-language-server: it shows the message, and does not complete the field. */
function refused({ description }: FieldSchema): JsonSchema {
  const message = `Not supported yet: ${description ?? ''}`
  return { description: message, deprecationMessage: message, doNotSuggest: true, not: {} }
}

/** The manifest schema's own keywords, and keywords that `edited` writes for nested fields. */
const notPlain = new Set('description effect keyEffects needed unit least most form notYetValues properties items anyOf'.split(' '))

function plain(field: FieldSchema): JsonSchema {
  const rest = Object.entries(field).filter(([key, value]) => !notPlain.has(key) && !isDefaultObject(key, value))
  return {
    ...Object.fromEntries(rest),
    ...(field.enum === undefined ? {} : { enum: field.enum.filter((value) => field.notYetValues?.includes(String(value)) !== true) }),
    ...(field.pattern === undefined ? {} : patternOf(field, field.pattern)),
  }
}

/** Editors would insert the default object. */
function isDefaultObject(key: string, value: unknown): boolean {
  return key === 'default' && value !== null && typeof value === 'object'
}

/** Excludes prefixes that are not supported yet. */
function patternOf({ notYetValues, unit }: FieldSchema, pattern: string): JsonSchema {
  return {
    pattern: notYetValues === undefined ? pattern : `^(?!${notYetValues.join('|')})(?:${pattern})`,
    ...(unit === undefined ? {} : { patternErrorMessage: `not in ${unit}` }),
  }
}

function descriptionOf(field: FieldSchema, effect: EditEffect | undefined): JsonSchema {
  if (field.description === undefined) return {}
  const facts = [
    ...(field.unit === undefined ? [] : [`In ${field.unit}${bounds(field)}.`]),
    ...(effect === undefined ? [] : [`An edit: ${effectTexts[effect]}.`]),
  ]
  return { description: [field.description, ...facts].join('\n\n') }
}

function bounds({ least, most }: Partial<About>): string {
  return `${least === undefined ? '' : `; at least ${least}`}${most === undefined ? '' : `, at most ${most}`}`
}

/** Alternatives with one field each become fields of one object, so that editors complete them and report the wrong one. */
function oneKeyOf(forms: readonly FieldSchema[]): Readonly<Record<string, FieldSchema>> | undefined {
  const fields = forms.map((form) => Object.entries(form.properties ?? {}))
  return fields.every((own) => own.length === 1) ? Object.fromEntries(fields.flat()) : undefined
}

const oneKey = { minProperties: 1, maxProperties: 1, additionalProperties: false }

/** With this field, the others are not allowed. */
function ifSet(field: string, others: readonly string[], otherwise: JsonSchema): JsonSchema {
  return {
    if: { required: [field] },
    // oxlint-disable-next-line unicorn/no-thenable -- the keyword of JSON Schema
    then: { properties: Object.fromEntries(others.map((key) => [key, { not: {} }])) },
    else: otherwise,
  }
}

/** Rules of `rules.ts` across several fields, as far as draft-7 can express them. A property test compares both. */
const rules: Readonly<Record<string, JsonSchema>> = {
  'metadata.annotations': {
    properties: Object.fromEntries(
      Object.entries(annotationForms).map(([name, { pattern, help }]) => [
        name,
        { type: 'string', pattern: pattern.source, patternErrorMessage: help },
      ]),
    ),
  },
  // A class may set the memory.
  spec: {
    required: ['disks', 'networks'],
    if: { not: { required: ['class'] } },
    // oxlint-disable-next-line unicorn/no-thenable -- as above
    then: { required: ['memory'] },
  },
  'spec.disks.*': {
    if: { required: ['cdrom'] },
    // oxlint-disable-next-line unicorn/no-thenable -- as above
    then: { properties: { image: { not: {} }, size: { not: {} }, bus: { not: {} }, readOnly: { not: {} }, limits: { not: {} } } },
    else: { required: ['size'] },
  },
  'spec.disks.*.image': {
    if: { required: ['source'], properties: { source: { pattern: '^https?://' } } },
    // oxlint-disable-next-line unicorn/no-thenable -- as above
    then: { required: ['sha256'] },
  },
  'spec.networks.*': {
    required: ['name'],
    ...ifSet('user', ['bridge', 'direct', 'address', 'ipv4', 'vlan', 'isolated', 'antiSpoof', 'mtu', 'fallback'], {
      ...ifSet('direct', ['bridge', 'vlan', 'isolated', 'antiSpoof', 'fallback'], { required: ['bridge'] }),
    }),
  },
}
