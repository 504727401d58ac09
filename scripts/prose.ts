// Checks the English of the documentation, of comments and of messages (ADR 0012).
import { existsSync, globSync, readFileSync, writeFileSync } from 'node:fs'
import { programNamed } from './program.ts'
import { checkMarkdown } from './prose/markdown.ts'
import type { Problem } from './prose/problem.ts'
import { checkSource } from './prose/source.ts'

/** Number of remaining problems by path. A number may only become smaller: `--shrink` writes smaller ones. */
const exceptionsFile = 'scripts/prose/exceptions.json'
const prose = ['README.md', 'SECURITY.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'docs/**/*.md', 'src/**/*.ts', 'runner/**/*.ts']

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

function readExceptions(): Readonly<Record<string, number>> {
  return JSON.parse(readFileSync(exceptionsFile, 'utf8')) as Record<string, number>
}

/** Keeps the exceptions of files that still have problems, without increasing any. */
function shrink(checked: readonly Checked[], exceptions: Readonly<Record<string, number>>): void {
  const kept = checked.flatMap(({ path, problems }): [string, number][] => {
    const count = Math.min(problems.length, exceptions[path] ?? 0)
    return count === 0 ? [] : [[path, count]]
  })
  writeFileSync(exceptionsFile, `${JSON.stringify(Object.fromEntries(kept), undefined, 2)}\n`)
}

function main(): void {
  const checked = globSync(prose).toSorted().map(check)
  const exceptions = readExceptions()
  if (program.opts<{ shrink?: true }>().shrink) return shrink(checked, exceptions)
  const failed = checked.filter(({ path, problems }) => problems.length > (exceptions[path] ?? 0))
  for (const { path, problems } of failed) {
    for (const { line, message } of problems) process.stdout.write(`${path}:${line}: ${message}\n`)
  }
  if (failed.length === 0) return
  process.stdout.write(`help: rewrite these sentences; if you moved the file, move its number in ${exceptionsFile}\n`)
  process.exitCode = 1
}

const program = programNamed('scripts/prose.ts', 'Checks the English of documentation, comments and messages.')
  .option('--shrink', 'lower the numbers in scripts/prose/exceptions.json to what is left')
  .parse()
main()
