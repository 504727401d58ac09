// Checks the English of the documentation, of comments and of messages (ADR 0012).
import { existsSync, globSync, readFileSync } from 'node:fs'
import { programNamed } from './program.ts'
import { checkMarkdown } from './prose/markdown.ts'
import type { Problem } from './prose/problem.ts'
import { checkSource } from './prose/source.ts'

const documents = ['README.md', 'SECURITY.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'docs/**/*.md']
const sources = ['src/**/*.ts', 'runner/**/*.ts', 'test/**/*.ts', 'scripts/**/*.ts']
/** The word list, and its test. */
const unchecked = ['scripts/prose/words.ts', 'test/unit/scripts/prose.test.ts']

interface Checked {
  readonly path: string
  readonly problems: readonly Problem[]
}

function check(path: string): Checked {
  const text = readFileSync(path, 'utf8')
  if (path.endsWith('.ts')) return { path, problems: checkSource(path, text) }
  if (path === 'CHANGELOG.md') return { path, problems: checkMarkdown(newestOf(text)) }
  return { path, problems: [...checkMarkdown(text), ...missingTests(text), ...(path.startsWith('docs/adr/0') ? tooLong(text) : [])] }
}

/** Only the newest section is checked. Older ones stay as released. */
function newestOf(changelog: string): string {
  return changelog.split(/^(?=## )/m, 2).join('')
}

/** The test that confirms a decision must exist. */
function missingTests(text: string): readonly Problem[] {
  const named = text
    .split('\n')
    .flatMap((line, index) => [...line.matchAll(/`(test\/[\w./-]+\.ts)`/g)].map(([, path = '']) => ({ path, line: index + 1 })))
  return named.filter(({ path }) => !existsSync(path)).map(({ path, line }) => ({ line, message: `${path} does not exist` }))
}

/** A decision must fit on one page. */
function tooLong(text: string): readonly Problem[] {
  const count = text.split(/\s+/).filter(Boolean).length
  return count > 600 ? [{ line: 1, message: `${count} words in a decision, at most 600: move details into docs/` }] : []
}

function main(): void {
  const files = program.processedArgs[0] as string[]
  const isAsked = (path: string): boolean => files.length === 0 || files.includes(path)
  const checked = globSync([...documents, ...sources], { exclude: unchecked })
    .toSorted()
    .filter(isAsked)
    .map(check)
  const lines = checked.flatMap(({ path, problems }) => problems.map(({ line, message }) => `${path}:${line}: ${message}\n`))
  if (lines.length === 0) return
  process.stdout.write(`${lines.join('')}help: rewrite these sentences\n`)
  process.exitCode = 1
}

const program = programNamed('scripts/prose.ts', 'Checks the English of documentation, comments and messages.')
  .argument('[files...]', 'default: all')
  .parse()
main()
