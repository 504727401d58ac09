import { printable } from './outcome.ts'

/**
 * As in docker and kubectl: columns three spaces apart, no lines, no trailing spaces. Empty cells are `-`, so that tools can split by position and by
 * word.
 */
export function aligned(lines: readonly (readonly string[])[]): string {
  const shown = lines.map((line) => line.map(cellText))
  const widths = widthsOf(shown)
  return shown.map((line) => padded(line, widths)).join('')
}

/** The width of each column, for later rows. */
export function widthsOf(lines: readonly (readonly string[])[]): readonly number[] {
  const columns = Math.max(0, ...lines.map((line) => line.length))
  return Array.from({ length: columns }, (_, index) => Math.max(0, ...lines.map((line) => cellText(line[index] ?? '').length)))
}

export function padded(line: readonly string[], widths: readonly number[]): string {
  const cells = line.map((cell, index) => cellText(cell).padEnd(widths[index] ?? 0))
  return `${cells.join('   ').trimEnd()}\n`
}

function cellText(text: string): string {
  return printable(text).trim() || '-'
}
