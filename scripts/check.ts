// Checks types, lint with the layer rules, format, dead code, generated files and prose in parallel. Prints only failures, and exits 1 for them.
import { execFile, execFileSync } from 'node:child_process'
import { programNamed } from './program.ts'

interface Checked {
  readonly name: string
  readonly ok: boolean
  readonly seconds: number
  readonly output: string
}

/** With `files`, lint, format and prose check only these. The other checks need the whole repository, and cache what they know about it. */
function checksOf(files: readonly string[] | undefined): readonly (readonly [name: string, program: string, ...args: string[]])[] {
  const isSource = (file: string): boolean => file.endsWith('.ts')
  const ofFiles = [
    ['lint', 'oxlint', ...(files?.filter(isSource) ?? [])],
    ['format', 'biome', 'format', '--max-diagnostics=5', '--no-errors-on-unmatched', ...(files ?? ['.'])],
    ['prose', 'node', 'scripts/prose.ts', ...(files ?? [])],
  ] as const
  return [
    ['types', 'tsc', '--noEmit', '-p', '.', '--incremental', '--tsBuildInfoFile', 'node_modules/.cache/tsc.json'],
    ['dead code', 'knip', '--no-progress', '--cache'],
    ['schema', 'node', 'scripts/schema.ts', '--check'],
    ...ofFiles.filter(([name]) => files === undefined || files.some(name === 'lint' ? isSource : () => true)),
  ]
}

/** The files that differ from the last commit. */
function changedFiles(): readonly string[] {
  const git = (...args: string[]): string[] => execFileSync('git', args, { encoding: 'utf8' }).split('\n')
  return [...git('diff', '--name-only', '--diff-filter=d', 'HEAD'), ...git('ls-files', '--others', '--exclude-standard')].filter(Boolean)
}

function run([name, program, ...args]: ReturnType<typeof checksOf>[number]): Promise<Checked> {
  const started = performance.now()
  return new Promise((resolve) => {
    execFile(program, args, { maxBuffer: 64 * 1024 * 1024 }, (error, stdout, stderr) => {
      resolve({ name, ok: error === null, seconds: (performance.now() - started) / 1000, output: `${stdout}${stderr}` })
    })
  })
}

async function main(files: readonly string[] | undefined): Promise<void> {
  const results = await Promise.all(checksOf(files).map(run))
  for (const result of results) {
    if (!result.ok) process.stdout.write(`${result.output.slice(0, 20_000)}\n`)
  }
  for (const result of results) {
    process.stdout.write(`${result.ok ? 'ok    ' : 'FAILED'} ${result.name} (${result.seconds.toFixed(1)} s)\n`)
  }
  process.exitCode = results.every((result) => result.ok) ? 0 : 1
}

const program = programNamed('npm run check --', 'Checks types, lint, format, dead code, generated files and prose.')
program.option('--changed', 'lint, format and prose only of the files that differ from the last commit').parse()
void main(program.opts<{ changed?: true }>().changed ? changedFiles() : undefined)
