import type { EditEffect } from '../src/api/manifest/about.ts'
import { virtualMachineClassSchema, virtualMachineSchema } from '../src/api/manifest/document.ts'
import { type FieldSchema, fieldSchemaOf } from '../src/api/manifest/json-schema.ts'
import { type Field, fieldsOf, laterFacts, neededText, typeOf, valueFacts } from '../src/cli/offline/field-text.ts'

/** The tables of docs/manifest.md, by the name in their markers. */
export function fieldTables(): Readonly<Record<string, string>> {
  const machine = rowsBelow('', fieldSchemaOf(virtualMachineSchema), undefined)
  const ofClass = rowsBelow('', fieldSchemaOf(virtualMachineClassSchema), undefined)
  return {
    VirtualMachine: groups(machine).map(section).join('\n\n'),
    VirtualMachineClass: [table(ofClass.filter(isBuilt)), later(ofClass)].join('\n\n'),
    'not yet': later(machine),
  }
}

interface Row {
  readonly path: string
  readonly field: Field
  readonly effect: EditEffect | undefined
}

/** Nested fields of an unsupported field do not exist either. */
function rowsBelow(path: string, schema: FieldSchema, around: EditEffect | undefined): readonly Row[] {
  const inList = schema.items === undefined ? '' : '[]'
  return fieldsOf(schema).flatMap((field) => {
    const row = {
      path: path === '' ? field.name : `${path}${inList}.${field.name}`,
      field,
      effect: field.schema.effect ?? around,
    }
    return field.schema.notYet === true ? [row] : [row, ...rowsBelow(row.path, field.schema, row.effect)]
  })
}

function isBuilt({ field }: Row): boolean {
  return field.schema.notYet !== true
}

/** A heading with its rows: `metadata`, `spec` with its plain fields, then each of its objects and lists. */
type Group = readonly [heading: string, rows: readonly Row[]]

function groups(rows: readonly Row[]): readonly Group[] {
  const built = rows.filter(isBuilt)
  const nested = built.filter(({ path, field }) => /^spec\.[^.]+$/.test(path) && fieldsOf(field.schema).length > 0).map(({ path }) => path)
  const below = (path: string): readonly Row[] => built.filter((row) => row.path.startsWith(`${path}.`) || row.path.startsWith(`${path}[`))
  const plain = built.filter(
    (row) => row.path.startsWith('spec.') && !nested.some((path) => row.path !== path && below(path).includes(row)),
  )
  return [['metadata', below('metadata')], ['spec', plain], ...nested.map((path): Group => [path, below(path)])]
}

function section([heading, rows]: Group): string {
  return `### ${heading}\n\n${table(rows)}`
}

function table(rows: readonly Row[]): string {
  const lines = rows.map(({ path, field, effect }) => {
    const { schema } = field
    const cells = [`\`${path}\``, typeOf(schema), neededText(field), valueText(schema), effect ?? '', aboutText(schema)]
    return `| ${cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll('<', '&lt;')).join(' | ')} |`
  })
  return ['| field | type | required | values | edit | description |', '|---|---|---|---|---|---|', ...lines].join('\n')
}

function valueText(schema: FieldSchema): string {
  const facts = valueFacts(schema).filter(([key]) => key !== 'pattern')
  return facts.map(([key, value]) => (key === 'value' || key === 'values' ? `\`${value}\`` : `${key} \`${value}\``)).join(', ')
}

function aboutText(schema: FieldSchema): string {
  const unit = schema.unit === undefined ? [] : [`In ${schema.unit}.`]
  return [schema.description ?? '', ...unit, ...laterFacts(schema).map((text) => `Not supported yet: ${text}.`)].join(' ')
}

function later(rows: readonly Row[]): string {
  const lines = rows.filter((row) => !isBuilt(row)).map(({ path, field }) => `- \`${path}\`: ${field.schema.description ?? ''}`)
  return ['Planned, and rejected as not supported yet (`VM020`):', '', ...lines].join('\n')
}
