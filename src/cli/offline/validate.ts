import { byText } from '../../api/order.ts'
import type { SourceDocument, SourceIssue, SourceSnapshot } from '../../api/manifest/source-documents.ts'
import { resolveClasses } from '../../api/manifest/resolve-classes.ts'
import { doubleClaims } from './double-claims.ts'
import type { Outcome } from '../output/outcome.ts'

export const validateFormats = ['text', 'json', 'github'] as const
export type ValidateFormat = (typeof validateFormats)[number]

/** The result for all input: exit 2 for an unreadable file, else 1 for an invalid document, else 0. */
export function validate(snapshots: readonly SourceSnapshot[], format: ValidateFormat): Outcome {
  const read = onceEach(
    resolveClasses(snapshots).flatMap((snapshot) => snapshot.documents),
    ({ origin, ...rest }) => `${origin.file}:${origin.line}:${rest.ok ? '' : rest.issues.map((issue) => issue.code).join()}`,
  )
  const doubles = doubleClaims(read)
  const documents = read.filter((document) => !document.ok || !doubles.has(document))
  const issues = [...read.flatMap((document) => (document.ok ? [] : document.issues)), ...[...doubles.values()].flat()].toSorted(byPlace)
  const warnings = read.flatMap((document) => document.warnings ?? []).toSorted(byPlace)
  const unreadable = snapshots.filter((snapshot) => !snapshot.complete).map((snapshot) => snapshot.message)
  const exit = unreadable.length > 0 ? 2 : issues.length > 0 ? 1 : 0
  return { exit, ...written({ documents, issues, warnings, unreadable }, format) }
}

interface Findings {
  readonly documents: readonly SourceDocument[]
  readonly issues: readonly SourceIssue[]
  /** Warnings reject nothing and do not change the exit code. */
  readonly warnings: readonly SourceIssue[]
  readonly unreadable: readonly string[]
}

/** A file counts once, even if it is named twice or is also in a named directory. */
function onceEach<Value>(values: readonly Value[], keyOf: (value: Value) => string): readonly Value[] {
  return [...new Map(values.map((value) => [keyOf(value), value])).values()]
}

function byPlace(a: SourceIssue, b: SourceIssue): number {
  return byText(a.file, b.file) || a.line - b.line || a.column - b.column || byText(a.code, b.code)
}

function written(found: Findings, format: ValidateFormat): Pick<Outcome, 'out' | 'err'> {
  const err = found.unreadable.map((message) => `error: ${message}\n`).join('')
  const all = [...found.issues, ...found.warnings].toSorted(byPlace)
  switch (format) {
    case 'text':
      return { out: [...all.map((issue) => issue.rendered), summary(found)].map((text) => `${text}\n`).join('\n'), err }
    case 'json':
      return { out: `${JSON.stringify(asJson(found), null, 2)}\n`, err }
    case 'github':
      return { out: all.map((issue) => `${annotation(issue)}\n`).join(''), err }
    default:
      return format satisfies never
  }
}

function summary({ documents, issues, warnings }: Findings): string {
  const valid = documents.filter((document) => document.ok)
  const inFiles = (list: readonly { readonly file: string }[]): string => counted(new Set(list.map((one) => one.file)).size, 'file')
  const good = `${counted(valid.length, 'valid VirtualMachine')} in ${inFiles(valid.map((document) => document.origin))}`
  const said = (list: readonly SourceIssue[], what: string): string[] =>
    list.length === 0 ? [] : [`${counted(list.length, what)} in ${inFiles(list)}`]
  return [...said(issues, 'error'), ...said(warnings, 'warning'), good].join('; ')
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`
}

function asJson({ documents, issues, warnings, unreadable }: Findings): unknown {
  return {
    valid: issues.length === 0 && unreadable.length === 0,
    virtualMachines: documents.flatMap((document) =>
      document.ok
        ? [{ name: document.vm.metadata.name, file: document.origin.file, line: document.origin.line, generation: document.generation }]
        : [],
    ),
    errors: issues.map(issueAsJson),
    warnings: warnings.map(issueAsJson),
    unreadable,
  }
}

function issueAsJson({ code, file, line, column, path, message, help }: SourceIssue): unknown {
  return { code, file, line, column, path, message, help }
}

/** A workflow command (docs.github.com, "Workflow commands"). Properties need more escapes than the message. */
function annotation(issue: SourceIssue): string {
  const place = `file=${property(issue.file)},line=${issue.line},col=${issue.column},title=${property(issue.code)}`
  return `::${issue.severity ?? 'error'} ${place}::${escaped(issue.help === undefined ? issue.message : `${issue.message}\nhelp: ${issue.help}`)}`
}

function escaped(text: string): string {
  return text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A')
}

function property(text: string): string {
  return escaped(text).replaceAll(':', '%3A').replaceAll(',', '%2C')
}
