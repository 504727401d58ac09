import type { LineCounter } from 'yaml'
import type { ManifestIssue } from '../../api/manifest.ts'
import type { SourceIssue } from '../../api/manifest/source-documents.ts'
import { lookAlike } from './look-alikes.ts'
import { oneLine, type Place, placeAt, type Position, renderIssue } from './render.ts'
import type { Suggest } from './suggest.ts'

/** A file or config that is being read. */
export interface Text {
  /** `directory` or `configs`. */
  readonly source: string
  readonly file: string
  readonly suggest: Suggest
  readonly text: string
  /** Lines for excerpts, without secrets. */
  readonly lines: readonly string[]
  readonly counter: LineCounter
}

export type TextRange = readonly [number, number, ...number[]] | null | undefined

export function positionOf(input: Text, range: TextRange): Position {
  const [start, end] = range ?? [0, 0]
  const { line, col } = input.counter.linePos(start)
  const lineEnd = input.text.indexOf('\n', start)
  const stop = Math.min(end, lineEnd === -1 ? input.text.length : lineEnd)
  return { line: Math.max(1, line), column: Math.max(1, col), width: Math.max(1, stop - start) }
}

export function located(input: Pick<Text, 'file' | 'lines'>, issue: ManifestIssue, at: Position): SourceIssue {
  return locatedAt(placeAt(input.file, at, input.lines), namingLookAlikes(issue, input.lines[at.line - 1] ?? ''))
}

const typed: ReadonlySet<string> = new Set(['VM002', 'VM005', 'VM010', 'VM012'])

/** If the real cause is an invisible wrong character, any other message would mislead. */
function namingLookAlikes(issue: ManifestIssue, line: string): ManifestIssue {
  const help = typed.has(issue.code) ? lookAlike(line) : undefined
  return help === undefined ? issue : { ...issue, help }
}

export function locatedAt(place: Place, issue: ManifestIssue): SourceIssue {
  const help = issue.help === undefined ? {} : { help: oneLine(issue.help) }
  const said = { ...issue, ...help, message: oneLine(issue.message) }
  return { ...said, file: place.file, line: place.line, column: place.column, rendered: renderIssue(said, place) }
}
