import { closest } from '../../api/closest.ts'
import { printable, UsageError } from './outcome.ts'
import type { Field } from './columns.ts'

/** Formats one row, and the header above it. */
export interface Template<Row> {
  readonly render: (row: Row) => string
  readonly head: string
}

/**
 * The subset of Go templates that `docker ls --format` uses: `{{.Field}}`, `{{json .}}`, `{{json .Field}}`, and the escapes \t and
 * . `{{json .}}` is the API's object. Throws UsageError for anything else.
 */
export function goTemplate<Row>(text: string, fields: readonly Field<Row>[]): Template<Row> {
  const parts = text.split(/(\{\{.*?\}\})/s).map((part) => (/^\{\{.*\}\}$/s.test(part) ? action(part, fields) : literal(part)))
  return { render: (row) => parts.map((part) => part.render(row)).join(''), head: parts.map((part) => part.head).join('') }
}

function literal<Row>(text: string): Template<Row> {
  if (text.includes('{{')) throw new UsageError(`--format: "${text}" has {{ without }}`)
  const written = text.replaceAll(String.raw`\t`, '\t').replaceAll(String.raw`\n`, '\n')
  return { render: () => written, head: written }
}

function action<Row>(text: string, fields: readonly Field<Row>[]): Template<Row> {
  const [, json, name] = /^\{\{\s*(json\s+)?\.(\w*)\s*\}\}$/.exec(text) ?? []
  if (name === undefined) throw new UsageError(`--format: ${text} is not {{.FIELD}}, {{json .FIELD}} or {{json .}}`)
  if (name === '' && json !== undefined) return { render: (row) => JSON.stringify(row), head: '' }
  const found = fields.find((field) => field.name === name)
  if (found === undefined) throw new UsageError(noField(name, fields))
  const { head } = found
  return json === undefined
    ? { render: (row) => printable(found.text(row)), head }
    : { render: (row) => JSON.stringify(found.text(row)), head }
}

function noField<Row>(name: string, fields: readonly Field<Row>[]): string {
  const meant = closest(
    name,
    fields.map((field) => field.name),
  )
  const help = meant === undefined ? '' : `; did you mean ".${meant}"?`
  return `--format: there is no field ".${name}"; there are ${named(fields)}${help}`
}

function named<Row>(fields: readonly Field<Row>[]): string {
  return fields.map((field) => `.${field.name}`).join(', ')
}
