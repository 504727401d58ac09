import type { ManifestIssue } from '../manifest.ts'
import type { SourceDocument, SourceIssue } from './source-documents.ts'

/** An issue that shows only next to other documents, at its place in this one; without a known place, at the document's first line. */
export function documentIssue(document: SourceDocument, issue: ManifestIssue): SourceIssue {
  const placed = document.ok ? document.issueAt?.(issue) : undefined
  if (placed !== undefined) return placed
  const { file, line } = document.origin
  const help = issue.help === undefined ? '' : `\nhelp: ${issue.help}`
  return { ...issue, file, line, column: 1, rendered: `error[${issue.code}]: ${issue.message}\n --> ${file}:${line}:1${help}` }
}

/** `VM030`. `keeper` says where the document stands that counts. */
export function declaredTwice(what: string, keeper: string, help = 'give this one another name or delete one of the two'): ManifestIssue {
  return { code: 'VM030', path: ['metadata', 'name'], message: `${what} is declared twice; ${keeper} keeps it`, help }
}
