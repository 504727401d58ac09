import { type EditEffect, effectTexts } from '../../api/manifest/about.ts'
import { classKind, kind, virtualMachineClassSchema, virtualMachineSchema } from '../../api/manifest/document.ts'
import { type FieldSchema, fieldSchemaOf } from '../../api/manifest/json-schema.ts'
import { fieldsOf, fullType, laterFacts, neededText, typeOf, valueFacts } from './field-text.ts'
import { UsageError } from '../output/outcome.ts'

/** A field at its path. */
interface Place {
  /** `spec.networks[].bridge`. For the whole document, its kind. */
  readonly name: string
  readonly schema: FieldSchema
  readonly required: boolean
  /** The effect of the field itself or of its nearest parent. */
  readonly effect: EditEffect | undefined
}

/** Explains manifest fields from the schema that validates them. */
export interface Explainer {
  /**
   * Everything about one field: `spec.networks.bridge`, also as `spec.networks[].bridge` or `[0]`. Empty for the whole document. A path that begins
   * with VirtualMachineClass refers to that kind. Throws UsageError for an unknown field.
   */
  readonly explain: (path: string) => string
  /** Only the description. Throws UsageError for an unknown field. */
  readonly describe: (path: string) => string
}

type Suggest = (path: readonly (string | number)[], kind?: 'machine' | 'class') => string | undefined

/** `suggest` returns the probable field for a typo. */
export function explainer(suggest: Suggest): Explainer {
  const find = (path: string): Place => {
    const [first = '', ...rest] = stepsOf(path)
    const isClass = first.toLowerCase() === classKind.toLowerCase()
    const isNamed = isClass || first.toLowerCase() === kind.toLowerCase()
    const root = fieldSchemaOf(isClass ? virtualMachineClassSchema : virtualMachineSchema)
    const whole = { name: isClass ? classKind : kind, schema: root, required: true, effect: undefined }
    return placeAt(whole, isNamed || first === '' ? rest : [first, ...rest], (walked) => suggest(walked, isClass ? 'class' : 'machine'))
  }
  return { explain: (path) => page(find(path)), describe: (path) => find(path).schema.description ?? '' }
}

/** A list index makes no difference: `networks[0].bridge`, `networks[].bridge` and `networks.bridge` are the same. */
function stepsOf(path: string): readonly string[] {
  return path
    .replaceAll(/\[\d*\]/g, '')
    .split('.')
    .filter((step) => step !== '' && step !== '*' && !/^\d+$/.test(step))
}

function placeAt(whole: Place, steps: readonly string[], suggest: Suggest): Place {
  let place = whole
  const walked: (string | number)[] = []
  for (const step of steps) {
    const isList = place.schema.items !== undefined
    if (isList) walked.push(0)
    walked.push(step)
    const next = fieldsOf(place.schema).find((one) => one.name === step)
    if (next === undefined) throw new UsageError(nothingAt(place.name, step, suggest(walked)))
    const name = place.name === kind ? step : `${place.name}${isList ? '[]' : ''}.${step}`
    place = { ...next, name, effect: next.schema.effect ?? place.effect }
    // Its nested fields do not exist either.
    if (place.schema.notYet === true) return place
  }
  return place
}

function nothingAt(parent: string, step: string, help: string | undefined): string {
  return `there is no field "${step}" in ${parent}${help === undefined ? '' : `\nhelp: ${help}`}`
}

function page(place: Place): string {
  const { name, schema, effect } = place
  if (schema.notYet === true) return `${name}: not supported yet\n\n${indented(schema.description ?? '')}\n`
  const facts = [
    ['type', fullType(schema)],
    ...valueFacts(schema),
    ['required', neededText(place)],
    ...(effect === undefined ? [] : [['edit', effectTexts[effect]]]),
    ...laterFacts(schema).map((text) => ['later', `${text}: not supported yet`]),
  ]
  const table = facts.map(([key, value]) => `  ${(key ?? '').padEnd(12)}${value}`)
  const parts = [name, indented(schema.description ?? ''), table.join('\n'), fieldList(place)]
  return `${parts.filter((part) => part.trim() !== '').join('\n\n')}\n`
}

function indented(text: string): string {
  return text.replaceAll(/^/gm, '  ')
}

function fieldList({ schema }: Place): string {
  const fields = fieldsOf(schema)
  const built = fields.filter((field) => field.schema.notYet !== true)
  const rows = [
    ...built.map((field) => [
      field.name,
      `${typeOf(field.schema)}${neededText(field).startsWith('yes') ? ', required' : ''}`,
      field.schema.description ?? '',
    ]),
    ...fields.flatMap((field) => (built.includes(field) ? [] : [[field.name, 'not supported yet', field.schema.description ?? '']])),
  ]
  const widths = [0, 1].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const lines = rows.map((row) => `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd())
  return rows.length === 0 ? '' : `fields:\n${lines.join('\n')}`
}
