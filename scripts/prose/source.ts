import { parseSync, Visitor } from 'oxc-parser'
import { type Problem, problemsAt } from './problem.ts'
import { checkWords } from './words.ts'

interface Piece {
  readonly start: number
  readonly text: string
}

/** Checks comments, and strings of several words, since those are messages for people. */
export function checkSource(path: string, source: string): readonly Problem[] {
  const { program, comments } = parseSync(path, source)
  const pieces: Piece[] = comments.map(({ start, value }) => ({ start, text: value.replaceAll(/^\s*\*+/gm, '') }))
  new Visitor({
    Literal: ({ start, value }) => void (typeof value === 'string' && pieces.push({ start, text: value })),
    TemplateLiteral: ({ start, quasis }) => void pieces.push({ start, text: quasis.map(({ value }) => value.raw).join('…') }),
  }).visit(program)
  return pieces.flatMap(({ start, text }) => problemsAt(source.slice(0, start).split('\n').length, checkPiece(text.trim())))
}

/** Code in backticks is not checked. */
function checkPiece(piece: string): readonly string[] {
  const text = piece.replaceAll(/`[^`]*`/g, 'CODE')
  return /\s/.test(text) ? text.split(/(?<=[.!?])\s+/).flatMap(checkWords) : []
}
