import remarkGfm from 'remark-gfm'
import remarkParse from 'remark-parse'
import { unified } from 'unified'
import { visit } from 'unist-util-visit'
import { type Problem, problemsAt } from './problem.ts'
import { checkWords } from './words.ts'

const mostWords = 30
const markdown = unified().use(remarkParse).use(remarkGfm).freeze()
const sentences = new Intl.Segmenter('en', { granularity: 'sentence' })

type Tree = ReturnType<typeof markdown.parse>
type Node = Tree | Tree['children'][number]

/** Checks the sentences of paragraphs, headings and table cells. The entries of a list in a table cell, separated by semicolons, count as sentences. */
export function checkMarkdown(text: string): readonly Problem[] {
  const problems: Problem[] = []
  visit(markdown.parse(text), (node) => {
    if (node.type !== 'paragraph' && node.type !== 'heading' && node.type !== 'tableCell') return
    const prose = node.type === 'tableCell' ? proseOf(node).replaceAll(';', '.\n') : proseOf(node)
    const messages = [...sentences.segment(prose)].flatMap(({ segment }) => checkSentence(segment.trim()))
    problems.push(...problemsAt(node.position?.start.line ?? 1, messages))
  })
  return problems
}

function checkSentence(sentence: string): readonly string[] {
  const count = sentence.match(/\S*[\p{L}\p{N}]\S*/gu)?.length ?? 0
  const messages = checkWords(sentence)
  return count > mostWords ? [`${count} words in a sentence, at most ${mostWords}: "${sentence.slice(0, 60)}…"`, ...messages] : messages
}

/** Code counts as one word, and may begin a sentence. */
function proseOf(node: Node): string {
  if (node.type === 'inlineCode') return 'CODE'
  if (node.type === 'text') return node.value
  return 'children' in node ? node.children.map(proseOf).join('') : ' '
}
