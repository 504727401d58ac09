import { printable } from './outcome.ts'

/** A column: its head, and what stands in it; empty is shown as `-`, so that columns can be cut by position and by word. */
export type Column<Row> = readonly [head: string, cell: (row: Row) => string]

/** As docker and kubectl do it: a head, columns three spaces apart, no lines, nothing behind the last column. */
export function table<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
  return aligned([columns.map(([head]) => head), ...rows.map((row) => cellsOf(columns, row))])
}

export function cellsOf<Row>(columns: readonly Column<Row>[], row: Row): readonly string[] {
  return columns.map(([, cell]) => cell(row))
}

export function aligned(lines: readonly (readonly string[])[]): string {
  const shown = lines.map((line) => line.map(cellText))
  const widths = widthsOf(shown)
  return shown.map((line) => padded(line, widths)).join('')
}

/** The width of each column, for lines that come later. */
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
