import type { SourcesView } from '../../api/wire/controller-api.ts'
import { goTemplate } from './go-template.ts'
import { oneOf, printable, UsageError } from './outcome.ts'
import { type Field, fieldsOf, type Shape } from './columns.ts'
import { aligned, padded, widthsOf } from './table.ts'

const viewFormats = ['table', 'wide', 'json', 'yaml', 'name'] as const

/** Formats one object as YAML. The adapter with the YAML library provides it. */
export type YamlText = (value: unknown) => string

/** How rows become text: all at once, or row by row. */
export type Form<Row> =
  /** `cells` are aligned below the headers. `news` only change when the row does. */
  | {
      readonly kind: 'columns'
      readonly heads: readonly string[]
      readonly cells: (row: Row) => readonly string[]
      readonly news: (row: Row) => readonly string[]
    }
  | { readonly kind: 'lines'; readonly line: (row: Row) => string }
  /** The API's own answer. */
  | { readonly kind: 'document'; readonly whole: (value: unknown) => string; readonly each: (row: Row) => string }

export interface FormOptions {
  readonly output?: string
  readonly format?: string
  readonly quiet?: true
}

/** Called before any request, so that wrong usage is reported without a cluster. Throws UsageError. */
export function formOf<Row>(shape: Shape<Row>, options: FormOptions, yaml: YamlText): Form<Row> {
  const given = [options.output, options.format, options.quiet].filter((one) => one !== undefined)
  if (given.length > 1) throw new UsageError('use only one of --output, --format and --quiet')
  if (options.format !== undefined) return formatted(shape, options.format)
  const output = options.quiet === true ? 'name' : oneOf('--output', viewFormats, options.output ?? 'table')
  switch (output) {
    case 'table':
      return columnsOf(shape.columns)
    case 'wide':
      return columnsOf([...shape.columns, ...shape.wide])
    case 'json':
      return { kind: 'document', whole: (value) => `${JSON.stringify(value, null, 2)}\n`, each: (row) => `${JSON.stringify(row)}\n` }
    case 'yaml':
      return { kind: 'document', whole: yaml, each: (row) => `---\n${yaml(row)}` }
    case 'name':
      return { kind: 'lines', line: (row) => `${printable(shape.name(row))}\n` }
    default:
      return output satisfies never
  }
}

/** As docker's `--format`: `json` prints one object per line, `table TEMPLATE` has headers and columns, separated by tabs. */
function formatted<Row>(shape: Shape<Row>, format: string): Form<Row> {
  if (format === 'table') return columnsOf(shape.columns)
  const [, inColumns] = /^table\s+(.*)$/s.exec(format) ?? []
  const template = goTemplate(inColumns ?? (format === 'json' ? '{{json .}}' : format), fieldsOf(shape))
  if (inColumns === undefined) return { kind: 'lines', line: (row) => `${template.render(row)}\n` }
  const cells = (row: Row): readonly string[] => template.render(row).split('\t')
  return { kind: 'columns', heads: template.head.split('\t'), cells, news: cells }
}

function columnsOf<Row>(fields: readonly Field<Row>[]): Form<Row> {
  const texts = (some: readonly Field<Row>[]) => (row: Row) => some.map(({ text }) => text(row))
  const lasting = fields.filter(({ aging }) => aging !== true)
  return { kind: 'columns', heads: fields.map(({ head }) => head), cells: texts(fields), news: texts(lasting) }
}

/** `whole` is the API's answer. */
export function shown<Row>(form: Form<Row>, rows: readonly Row[], whole: unknown): string {
  switch (form.kind) {
    case 'columns':
      return aligned([form.heads, ...rows.map(form.cells)])
    case 'lines':
      return rows.map(form.line).join('')
    case 'document':
      return form.whole(whole)
    default:
      return form satisfies never
  }
}

/** The same row by row: `first` once, then `next` for each new row, with the column widths of the first rows. */
export function rowByRow<Row>(form: Form<Row>): { readonly first: (rows: readonly Row[]) => string; readonly next: (row: Row) => string } {
  if (form.kind !== 'columns') {
    const line = form.kind === 'lines' ? form.line : form.each
    return { first: (rows) => rows.map(line).join(''), next: line }
  }
  let widths: readonly number[] = []
  const { heads, cells } = form
  return {
    first(rows) {
      widths = widthsOf([heads, ...rows.map(cells)])
      return [heads, ...rows.map(cells)].map((line) => padded(line, widths)).join('')
    },
    next: (row) => padded(cells(row), widths),
  }
}

/** After the table come errors, superseded documents, and the reason for blocked removals. */
export function showSources(view: SourcesView, form: Form<SourcesView['sources'][number]>): string {
  const list = shown(form, view.sources, view)
  if (form.kind !== 'columns') return list
  const issues = [...new Set(view.sources.flatMap((source) => source.issues))]
  const ignored = view.sources.flatMap(({ source, documents, ignored }) => ignoredText(source, documents.ignored, ignored))
  const older = view.sources.flatMap(({ superseded }) => superseded.map((one) => `superseded: ${one.file} (${one.name}) by ${one.by}`))
  const stalled = view.stalled === null ? [] : [blockedText(view)]
  const paragraphs = [...issues, ...ignored, older.join('\n'), ...stalled].filter((text) => text !== '')
  return [list, ...paragraphs.map((text) => `${text.split('\n').map(printable).join('\n')}\n`)].join('\n')
}

function ignoredText(source: string, count: number, some: SourcesView['sources'][number]['ignored']): readonly string[] {
  if (count === 0) return []
  const rest = count - some.length
  const lines = some.map(({ file, line, kind }) => `  ${file}:${line} (${kind})`)
  const head = `warning: ${count === 1 ? '1 document' : `${count} documents`} of other kinds ignored in source ${source}:`
  return [[head, ...lines, ...(rest > 0 ? [`  and ${rest} more`] : [])].join('\n')]
}

/** Why removals are blocked, and for which VMs. */
export function blockedText({ stalled, withheld }: SourcesView): string {
  const names = withheld.length === 0 ? '' : `\n  ${withheld.join(' ')}`
  return `removals are blocked: ${stalled ?? ''}${names}`
}
