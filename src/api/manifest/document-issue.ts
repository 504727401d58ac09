import type { ManifestIssue } from '../manifest.ts'
import type { SourceDocument, SourceIssue } from './source-documents.ts'

/**
 * An issue that only exists because of other documents, at its place in this one. Without a known place, it is reported at the first line.
 */
export function documentIssue(document: SourceDocument, issue: ManifestIssue): SourceIssue {
  const placed = document.ok ? document.issueAt?.(issue) : undefined
  if (placed !== undefined) return placed
  const { file, line } = document.origin
  const help = issue.help === undefined ? '' : `\nhelp: ${issue.help}`
  return { ...issue, file, line, column: 1, rendered: `error[${issue.code}]: ${issue.message}\n --> ${file}:${line}:1${help}` }
}

/** `VM030`. `keeper` is the position of the document that keeps the name. */
export function declaredTwice(what: string, keeper: string, help = 'give this one another name or delete one of the two'): ManifestIssue {
  return { code: 'VM030', path: ['metadata', 'name'], message: `${what} is declared twice; ${keeper} keeps it`, help }
}
