import { Lexer } from 'yaml'

/** Levels of `[` and `{`, and of indentation and compact `- - -`, beyond which a text is not given to the parser: it ends the process from about 900. */
const deepestFlow = 64
/** Indentation of scripts inside a block scalar counts too, so this is an upper bound far above what a manifest has. */
const deepestIndent = 200
const mostIndicators = 64

/** Why a text is too deep to be parsed; undefined where it is not. Neither recursion nor memory of this look grows with the depth. */
export function tooDeep(text: string): string | undefined {
  return deepBlocks(text) ?? deepFlow(text)
}

/** Upper bound of block nesting: one level per deeper indentation that is still open, and one per indicator on such a line. */
function deepBlocks(text: string): string | undefined {
  const open: { indent: number; levels: number }[] = []
  let depth = 0
  for (const line of text.split('\n')) {
    if (line.trim() === '') continue
    const indicators = line.match(/(?:^|\s)(?:[-?:](?=\s|$)|[&!]\S*)/g)?.length ?? 0
    if (indicators > mostIndicators) return `more than ${mostIndicators} of "- ? : & !" on one line`
    const indent = line.length - line.trimStart().length
    for (let top = open.at(-1); top !== undefined && top.indent >= indent; top = open.at(-1)) {
      depth -= top.levels
      open.pop()
    }
    open.push({ indent, levels: 1 + indicators })
    depth += 1 + indicators
    if (depth > deepestIndent) return `nested more than ${deepestIndent} levels deep`
  }
  return undefined
}

/** Exact, by the tokens that the parser is going to see. */
function deepFlow(text: string): string | undefined {
  let depth = 0
  for (const token of new Lexer().lex(text)) {
    if (token === '[' || token === '{') depth += 1
    else if (token === ']' || token === '}') depth -= 1
    if (depth > deepestFlow) return `nested more than ${deepestFlow} levels of [ ] and { } deep`
  }
  return undefined
}
