import type { Scalar } from 'yaml'

/**
 * Maps a range in a scalar's text to the file. Exact in a literal block (`|`) and in single-line plain and quoted strings without escapes. Otherwise
 * the scalar's start, since folding and escapes shift the text.
 */
export function insideScalar(file: string, scalar: Scalar, from: number, to: number): readonly [number, number] {
  const [start, end] = scalar.range ?? [0, 0]
  const text = typeof scalar.value === 'string' ? scalar.value : ''
  if (scalar.type === 'BLOCK_LITERAL') return insideLiteral(file, start, text, from, to) ?? [start, start + 1]
  const written = file.slice(start, end)
  const quote = /^["']/.test(written) ? 1 : 0
  return written.slice(quote, quote + text.length) === text && !text.includes('\n')
    ? [start + quote + from, start + quote + to]
    : [start, start + 1]
}

/** Each line of the text is one line of the file, after the block's indentation. */
function insideLiteral(file: string, start: number, text: string, from: number, to: number): readonly [number, number] | undefined {
  const lineIndex = text.slice(0, from).split('\n').length - 1
  const lineStart = from === 0 ? 0 : text.lastIndexOf('\n', from - 1) + 1
  let at = start
  for (let line = 0; line <= lineIndex; line += 1) {
    at = file.indexOf('\n', at) + 1
    if (at === 0) return undefined
  }
  const wanted = text.slice(lineStart, endOfLine(text, lineStart))
  const indent = file.slice(at, endOfLine(file, at)).replace(/\r$/, '').length - wanted.length
  const begin = at + Math.max(0, indent) + (from - lineStart)
  return [begin, begin + Math.max(1, to - from)]
}

function endOfLine(text: string, at: number): number {
  const end = text.indexOf('\n', at)
  return end === -1 ? text.length : end
}
