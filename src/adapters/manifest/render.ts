/** Where something stands; both 1-based. `width` is how many columns the caret underlines. */
export interface Position {
  readonly line: number
  readonly column: number
  readonly width: number
}

const longestLine = 120

/** A place in a file as it is shown; it holds nothing of the rest of the text. */
export interface Place extends Pick<Position, 'line' | 'column'> {
  readonly file: string
  /** Three lines with a caret; empty where there is no such line. */
  readonly excerpt: string
}

export function placeAt(file: string, at: Position, lines: readonly string[]): Place {
  return { file, line: at.line, column: at.column, excerpt: excerptOf(lines, at) }
}

/** An error or a warning as a compiler shows it: code, position, three lines with a caret, help. */
export function renderIssue(
  issue: { readonly code: string; readonly message: string; readonly help?: string | undefined; readonly severity?: 'warning' },
  { file, line, column, excerpt }: Place,
): string {
  const head = `${issue.severity ?? 'error'}[${issue.code}]: ${issue.message}\n --> ${oneLine(file)}:${line}:${column}`
  return [head, ...(excerpt === '' ? [] : [excerpt]), ...(issue.help === undefined ? [] : [`help: ${issue.help}`])].join('\n')
}

function excerptOf(lines: readonly string[], at: Position): string {
  const shown = [at.line - 1, at.line, at.line + 1].filter((line) => line >= 1 && line <= lines.length)
  if (!shown.includes(at.line)) return ''
  const gutter = String(at.line + 1).length
  const row = (line: number): string => `${String(line).padStart(gutter)} | ${printable(lines[line - 1] ?? '')}`.trimEnd()
  const start = Math.min(at.column - 1, longestLine)
  const caret = `${' '.repeat(gutter)} | ${' '.repeat(start)}${'^'.repeat(Math.max(1, Math.min(at.width, longestLine - start)))}`
  return shown.flatMap((line) => (line === at.line ? [row(line), caret] : [row(line)])).join('\n')
}

/** Terminals obey control characters: a manifest must not speak to one. */
function printable(line: string): string {
  // Cut first: a line may be all of the file.
  const safe = line.slice(0, longestLine + 1).replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, ' ')
  return safe.length > longestLine ? `${safe.slice(0, longestLine)}…` : safe
}

const longestMessage = 300

/** A message may quote what the manifest says: it goes into terminals, logs and conditions, and none of them takes a whole file. */
export function oneLine(message: string): string {
  const cut = message.length > longestMessage ? `${message.slice(0, longestMessage)}…` : message
  return cut.replaceAll(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, ' ')
}
