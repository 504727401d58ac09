/** Where something stands; both 1-based. `width` is how many columns the caret underlines. */
export interface Position {
  readonly line: number
  readonly column: number
  readonly width: number
}

const longestLine = 120

/** An error as a compiler shows it: code, position, three lines with a caret, help. */
export function renderIssue(
  issue: { readonly code: string; readonly message: string; readonly help?: string | undefined },
  file: string,
  at: Position,
  text: string,
): string {
  const head = `error[${issue.code}]: ${issue.message}\n --> ${file}:${at.line}:${at.column}`
  const excerpt = excerptOf(text, at)
  return [head, ...(excerpt === '' ? [] : [excerpt]), ...(issue.help === undefined ? [] : [`help: ${issue.help}`])].join('\n')
}

function excerptOf(text: string, at: Position): string {
  const lines = text.split('\n')
  const shown = [at.line - 1, at.line, at.line + 1].filter((line) => line >= 1 && line <= lines.length)
  if (text === '' || !shown.includes(at.line)) return ''
  const gutter = String(at.line + 1).length
  const row = (line: number): string => `${String(line).padStart(gutter)} | ${printable(lines[line - 1] ?? '')}`.trimEnd()
  const start = Math.min(at.column - 1, longestLine)
  const caret = `${' '.repeat(gutter)} | ${' '.repeat(start)}${'^'.repeat(Math.max(1, Math.min(at.width, longestLine - start)))}`
  return shown.flatMap((line) => (line === at.line ? [row(line), caret] : [row(line)])).join('\n')
}

/** Terminals obey control characters: a manifest must not speak to one. */
function printable(line: string): string {
  const safe = line.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, ' ')
  return safe.length > longestLine ? `${safe.slice(0, longestLine)}…` : safe
}
