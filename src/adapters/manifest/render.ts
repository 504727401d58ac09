/** A position in a file, 1-based. `width` is the number of columns that the caret underlines. */
export interface Position {
  readonly line: number
  readonly column: number
  readonly width: number
}

const longestLine = 120

/** A place in a file with its excerpt. It does not keep the rest of the text. */
export interface Place extends Pick<Position, 'line' | 'column'> {
  readonly file: string
  /** Three lines with a caret. Empty if there is no such line. */
  readonly excerpt: string
}

export function placeAt(file: string, at: Position, lines: readonly string[]): Place {
  return { file, line: at.line, column: at.column, excerpt: excerptOf(lines, at) }
}

/** Formats an error or a warning like a compiler: code, position, three lines with a caret, help. */
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

/** Removes control characters, so that a manifest cannot control a terminal. */
function printable(line: string): string {
  // Cut first: a line may be as long as the file.
  const safe = line.slice(0, longestLine + 1).replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, ' ')
  return safe.length > longestLine ? `${safe.slice(0, longestLine)}…` : safe
}

const longestMessage = 300

/** A message may quote the manifest. It goes to terminals, logs and conditions, so its length is limited. */
export function oneLine(message: string): string {
  const cut = message.length > longestMessage ? `${message.slice(0, longestMessage)}…` : message
  return cut.replaceAll(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, ' ')
}
