import { printable } from './outcome.ts'

/** A column: its head, and what stands in it; empty is shown as `-`, so that columns can be cut by position and by word. */
export type Column<Row> = readonly [head: string, cell: (row: Row) => string]

/** As docker and kubectl do it: a head, columns three spaces apart, no lines, nothing behind the last column. */
export function table<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const cells = rows.map((row) => columns.map(([, cell]) => printable(cell(row)).trim() || '-'))
  const lines = [columns.map(([head]) => head), ...cells]
  const widths = columns.map((_column, index) => Math.max(...lines.map((line) => line[index]?.length ?? 0)))
  return lines
    .map(
      (line) =>
        `${line
          .map((cell, index) => cell.padEnd(widths[index] ?? 0))
          .join('   ')
          .trimEnd()}\n`,
    )
    .join('')
}
